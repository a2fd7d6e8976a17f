package main

import (
	"fmt"

	"example.com/router"
)

var version = "unknown"

func main() {
	fmt.Println("listening on :8080")
	router.Serve(version)
}
