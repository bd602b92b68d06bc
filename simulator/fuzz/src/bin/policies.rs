#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sts_simulator_fuzz::policy(bytes));

#[cfg(not(fuzzing))]
fn main() -> std::io::Result<()> {
    sts_simulator_fuzz::run_on_files(sts_simulator_fuzz::policy)
}
