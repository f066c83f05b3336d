//! Links the unwinder in: as a library of its own, `libgcc_s.so.1`, it takes 0.15 ms of every process the preload library
//! is loaded into, and Wine loads that twice.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = env::var("TARGET").unwrap_or_default();
    let is_native = target == env::var("HOST").unwrap_or_default();
    // The library for 32-bit Wine is made by the compiler of the 64-bit system.
    let width: &[&str] = match target.as_str() {
        "i686-unknown-linux-gnu" => &["-m32"],
        _ if is_native => &[],
        _ => return,
    };
    // The C compiler answers with a path, or with the bare name if it has no such file.
    let answer = Command::new("cc")
        .args(width)
        .arg("-print-file-name=libgcc_eh.a")
        .output()
        .map(|output| output.stdout);
    let answer = String::from_utf8(answer.unwrap_or_default()).unwrap_or_default();
    if let Some(directory) = Path::new(answer.trim())
        .parent()
        .filter(|directory| directory.is_absolute())
    {
        println!("cargo::rustc-link-search=native={}", directory.display());
        println!("cargo::rustc-link-lib=static:-bundle=gcc_eh");
    }
}
