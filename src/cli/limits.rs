//! The flags that say how much of a table may be kept where.

use std::path::PathBuf;

use clap::Args;

use gpu_logreg::engine::storage::Limits;
use gpu_logreg::error::{Error, Result};

#[derive(Args)]
#[command(next_help_heading = "Memory")]
pub(super) struct LimitFlags {
    /// Memory of the device that the table may take, such as 6GB or 512MiB [default: as much as it gives]
    #[arg(long, value_name = "SIZE")]
    gpu_memory: Option<String>,
    /// Memory of the host that the table may take [default: three quarters of what is available]
    #[arg(long, value_name = "SIZE")]
    host_memory: Option<String>,
    /// Folder of the scratch file that takes what is left [default: the system's temporary folder]
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
}

impl LimitFlags {
    pub(super) fn check(&self) -> Result<Limits> {
        let size = |flag: &str, text: &Option<String>| text.as_deref().map(|text| size(flag, text)).transpose();
        if let Some(folder) = self.scratch.as_deref().filter(|folder| !folder.is_dir()) {
            return Err(Error::usage(
                format!("--scratch {}: there is no such folder", folder.display()),
                "Make it first, or name another one.",
            ));
        }
        Ok(Limits {
            device: size("--gpu-memory", &self.gpu_memory)?,
            host: size("--host-memory", &self.host_memory)?,
            scratch: self.scratch.clone(),
        })
    }
}

/// Bytes of a size with a unit: powers of 1000 (kB, MB, GB, TB) or of 1024 (`KiB`, `MiB`, `GiB`, `TiB`).
pub(super) fn size(flag: &str, text: &str) -> Result<u64> {
    let trimmed = text.trim();
    let digits = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(digits);
    let factor = match unit.trim().to_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "t" | "tb" => 1e12,
        "kib" => 1024.0,
        "mib" => 1024.0 * 1024.0,
        "gib" => 1024.0 * 1024.0 * 1024.0,
        "tib" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => f64::NAN,
    };
    match number.parse::<f64>().map(|number| number * factor) {
        Ok(bytes) if bytes.is_finite() && bytes >= 0.0 => Ok(bytes as u64),
        _ => {
            Err(Error::usage(format!("{flag} {text} is no size"), "Give a number with a unit, such as 6GB or 512MiB."))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in
            [("0", 0), ("17", 17), ("1.5GB", 1_500_000_000), ("512MiB", 512 << 20), (" 2 gib ", 2 << 30)]
        {
            assert_eq!(size("--host-memory", text).expect("a size"), bytes, "{text}");
        }
        for text in ["", "GB", "-1GB", "1XB", "1.2.3", "nan", "inf"] {
            assert!(size("--host-memory", text).is_err(), "{text}");
        }
    }
}
