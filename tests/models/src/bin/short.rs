use std::time::Duration;
use syncline_models::states::{Scope, explore};
fn main() {
    let name = std::env::args().nth(1).unwrap();
    for scope in Scope::ALL.iter().filter(|s| s.name == name) {
        println!("{:?}", explore(*scope, 0, 16, Duration::from_secs(60), true));
    }
}
