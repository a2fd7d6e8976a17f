package internal

func Parse() {}
