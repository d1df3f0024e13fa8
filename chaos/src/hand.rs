//! The administrator's hand: devices are reset, isolated, taken away, and put back.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::dice::Dice;

/// One run of the model, and the tool that reaches into it.
#[derive(Debug)]
pub struct Hand<'a> {
    pub tool: &'a Path,
    pub profile: &'a str,
    pub model: &'a Path,
}

/// What `list` says of a device.
#[derive(Debug)]
pub struct Listed {
    pub name: String,
    pub state: String,
    pub free: usize,
}

impl Hand<'_> {
    fn command(&self, words: &[&str]) -> Result<String> {
        let output = Command::new(self.tool)
            .args(words)
            .env("WARPDRIVE_MODEL", self.profile)
            .env("WARPDRIVE_MODEL_DIR", self.model)
            .output()
            .with_context(|| format!("{}", self.tool.display()))?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{words:?}: {} {error}", output.status);
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    pub fn list(&self) -> Result<Vec<Listed>> {
        let text = self.command(&["list"])?;
        let listed = |line: &str| {
            let mut words = line.split('\t');
            let (name, state) = (words.next()?.to_owned(), words.next()?.to_owned());
            Some(Listed { name, state, free: words.next()?.parse().ok()? })
        };
        text.lines().map(|line| listed(line).with_context(|| format!("list: {line:?}"))).collect()
    }

    /// Puts back what is gone or isolated.
    pub fn heal(&self) -> Result<()> {
        for device in self.list()? {
            match device.state.as_str() {
                "absent" => drop(self.command(&["add", &device.name])?),
                "isolated" => {
                    self.command(&["remove", &device.name])?;
                    self.command(&["add", &device.name])?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Reaches in every now and then until told to stop; how often it did what.
    pub fn reach_in(
        &self,
        dice: &mut Dice,
        violent: bool,
        stop: &AtomicBool,
    ) -> Result<BTreeMap<&'static str, u64>> {
        let mut done = BTreeMap::new();
        while !stop.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(100 + dice.below(500) as u64));
            let devices = self.list()?;
            let present: Vec<&Listed> = devices.iter().filter(|device| device.state == "present").collect();
            // what the plan or an earlier turn has taken away comes back one by one
            if let Some(device) = devices.iter().find(|device| device.state != "present") {
                if device.state == "isolated" {
                    self.command(&["remove", &device.name])?;
                }
                self.command(&["add", &device.name])?;
            }
            if !violent || present.is_empty() {
                continue;
            }
            let name = &present[dice.below(present.len())].name;
            let act = dice.pick(&["reset", "reset", "isolate", "remove", "busy"]);
            match act {
                "busy" => self.command(&["busy", name, "50"])?,
                act => self.command(&[act, name])?,
            };
            *done.entry(act).or_default() += 1;
        }
        Ok(done)
    }
}
