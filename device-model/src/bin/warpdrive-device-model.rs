//! The administrator's hand in a run of the device model: removes, adds, resets and isolates devices.
//!
//! `WARPDRIVE_MODEL_DIR` and `WARPDRIVE_MODEL` are those of the run. When the command returns, every process of the
//! run sees what it did.

use std::process::ExitCode;
use warpdrive_device_model::front::model::Model;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = Model::for_tool().map_err(|e| e.to_string()).and_then(|model| model.command(&words));
    match done {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("warpdrive-device-model: {error}");
            ExitCode::FAILURE
        }
    }
}
