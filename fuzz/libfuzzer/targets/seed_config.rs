#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| rillcast_fuzz::seed_config::run(data));
