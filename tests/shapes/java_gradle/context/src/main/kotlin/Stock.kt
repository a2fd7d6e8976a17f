fun main() {
    println("twelve boxes")
}
