#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| syncline_fuzzing::run("names", data));
