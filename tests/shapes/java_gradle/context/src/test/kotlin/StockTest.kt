fun test() {
    println("not copied")
}
