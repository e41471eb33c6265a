//! The binary: a plugin when a Nomad client starts it.
fn main() {}
