fn main() {
    let greeting = "hello";
    println!("{greeting}, world");
    // TODO: a longer greeting
}
