fn main() {
    println!("routes: / and /health");
}
