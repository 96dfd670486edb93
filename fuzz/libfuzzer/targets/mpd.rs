#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| rillcast_fuzz::mpd::run(data));
