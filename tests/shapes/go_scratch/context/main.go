package main

import "fmt"

func main() {
	fmt.Println("usage: tool FILE")
}
