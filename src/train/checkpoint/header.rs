//! What tells one run apart from another: the line at the beginning of a checkpoint.

use std::hash::{DefaultHasher, Hasher};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::data::Encoded;
use crate::engine::journal::Record;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::train::job::Job;
use crate::train::whereabouts::Standing;
use crate::wording::plain;

const FORMAT: &str = "gpu-logreg checkpoint";

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Header {
    format: String,
    /// The program that wrote it: another one may ask other questions.
    program: String,
    /// The names of the settings and their values, as they are told.
    settings: Vec<(String, String)>,
    /// `cpu` or `gpu`: one gives other answers than the other.
    device: String,
    table: Fingerprint,
    /// Where the run began, if not where every other does.
    pub(super) standing: Option<Standing>,
}

/// What tells a table apart from others.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Fingerprint {
    /// The classes, and the weight of each.
    classes: Vec<(String, f64)>,
    /// Name, mean and standard deviation of each feature.
    features: Vec<(String, f64, f64)>,
    /// What each stored column holds, and its number.
    columns: Vec<(String, u64)>,
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

/// What tells a model apart from others that a run may begin with.
fn told(model: &Model) -> String {
    let coefficients = model.features.iter().flat_map(|feature| &feature.coefficients).chain(&model.intercepts);
    let bytes: Vec<u8> = coefficients.flat_map(|x| x.to_le_bytes()).collect();
    let names: Vec<&str> = model.features.iter().map(|feature| feature.name.as_str()).collect();
    format!("a model with the number {:016x}", hash(&bytes) ^ hash(names.join("\n").as_bytes()))
}

fn program() -> String {
    format!("gpu-logreg {}", env!("CARGO_PKG_VERSION"))
}

/// The settings that decide what a run asks its engine, by their names.
pub(super) fn settings_of(job: &Job) -> Vec<(String, String)> {
    // Whoever adds a setting says here whether another value of it makes another run.
    let Job { spec, device: _, limits: _, gpu_timeout: _, checkpoint: _, time_limit: _, keep_on_interrupt: _, .. } =
        job;
    let Job {
        start,
        l1,
        l2,
        path,
        penalty_scale,
        penalty_factors,
        bounds,
        nonnegative,
        intercept,
        solver,
        init,
        preconditioner,
        tolerance,
        gradient_tolerance,
        gap_tolerance,
        max_iterations: _,
        inference,
        exact,
        ..
    } = job;
    let settings: [(&str, String); 30] = [
        ("label", format!("{:?}", spec.label)),
        ("positive", format!("{:?}", spec.positive)),
        ("multinomial", spec.multinomial.to_string()),
        ("features", format!("{:?}", spec.features)),
        ("categorical", format!("{:?}", spec.categorical)),
        ("reference", format!("{:?}", spec.references)),
        ("max-levels", spec.max_levels.to_string()),
        ("ignore", format!("{:?}", spec.ignore)),
        ("nulls", format!("{:?}", spec.nulls)),
        ("weight", format!("{:?}", spec.weight)),
        ("weight-kind", format!("{:?}", spec.weight_kind)),
        ("offset", format!("{:?}", spec.offsets)),
        ("class-weight", format!("{:?}", spec.class_weight)),
        ("folds", format!("{:?}", spec.folds)),
        ("l1", format!("{l1:?}")),
        ("l2", format!("{l2:?}")),
        ("path", format!("{path:?}")),
        ("penalty-scale", format!("{penalty_scale:?}")),
        ("penalty-factor", format!("{penalty_factors:?}")),
        ("bounds", format!("{bounds:?}")),
        ("nonnegative", nonnegative.to_string()),
        ("no-intercept", (!intercept).to_string()),
        ("solver", solver.name().into()),
        ("init", start.as_ref().map_or_else(|| format!("{init:?}"), |model| told(model))),
        ("preconditioner", format!("{preconditioner:?}")),
        ("tolerance", format!("{tolerance:?}")),
        ("gradient-tolerance", format!("{gradient_tolerance:?}")),
        ("gap-tolerance", format!("{gap_tolerance:?}")),
        ("inference", format!("{inference:?}")),
        ("verify", format!("{exact:?}")),
    ];
    settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

impl Header {
    pub(super) fn new(
        settings: Vec<(String, String)>,
        encoded: &Encoded,
        columns: Vec<(String, u64)>,
        is_gpu: bool,
        standing: Option<Standing>,
    ) -> Self {
        let classes = encoded.label.classes.iter().map(ToString::to_string);
        let classes = classes.zip(encoded.totals.classes.iter().copied()).collect();
        let features = encoded.features.iter();
        let features = features.map(|feature| (feature.name.clone(), feature.scale.mean, feature.scale.scale));
        let table = Fingerprint { classes, features: features.collect(), columns };
        let device = if is_gpu { "gpu" } else { "cpu" }.into();
        Self { format: FORMAT.into(), program: program(), settings, device, table, standing }
    }

    /// A line of JSON, and one with its checksum.
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec(self)
            .map_err(|cause| Error::internal(format!("the checkpoint has no JSON form: {cause}")))?;
        let checksum = hash(&bytes);
        bytes.extend(format!("\n{checksum:016x}\n").into_bytes());
        Ok(bytes)
    }

    /// The header of the file at `path`, how many bytes it takes, and what follows it.
    pub(super) fn parse(bytes: &[u8], path: &Path) -> Result<(Self, u64, Vec<Record>)> {
        let shown = path.display();
        let no_checkpoint = |why: String| {
            Error::data(
                format!("{shown} is no checkpoint: {why}"),
                "Name a file that a run with ⟦checkpoint⟧ wrote, or begin anew without ⟦resume⟧.",
            )
        };
        let Some(end) = bytes.iter().position(|&byte| byte == b'\n') else {
            return Err(no_checkpoint(format!("its first line does not end, after {} bytes", bytes.len())));
        };
        let checksum = format!("\n{:016x}\n", hash(&bytes[..end])).into_bytes();
        let header: Self = serde_json::from_slice(&bytes[..end]).map_err(|cause| no_checkpoint(cause.to_string()))?;
        if header.format != FORMAT {
            return Err(no_checkpoint(format!("its format is `{}`", plain(&header.format))));
        }
        if header.program != program() {
            return Err(Error::data(
                format!("{shown} was written by {}, and this is {}", plain(&header.program), program()),
                "Go on with the program that wrote it, or begin anew without ⟦resume⟧.",
            ));
        }
        if !bytes[end..].starts_with(&checksum) {
            return Err(no_checkpoint("its head is damaged".into()));
        }
        let behind = end + checksum.len();
        Ok((header, behind as u64, Record::all_of(&bytes[behind..])))
    }

    /// An error that names the first setting that is another one.
    pub(super) fn check_settings(&self, settings: &[(String, String)], path: &Path) -> Result<()> {
        for ((name, was), (_, is)) in self.settings.iter().zip(settings) {
            if was != is {
                return Err(Error::usage(
                    format!(
                        "{} is of a run with another {name}: {}, and now {}",
                        path.display(),
                        plain(was),
                        plain(is)
                    ),
                    "Say the same as that run did, or begin anew without ⟦resume⟧.",
                ));
            }
        }
        Ok(())
    }

    /// An error that names the first column that is another one, or the kind of device.
    pub(super) fn check_table(&self, now: &Self, path: &Path) -> Result<()> {
        if self.device != now.device {
            return Err(Error::usage(
                format!(
                    "{} is of a run on a {}, and this one is on a {}",
                    path.display(),
                    plain(&self.device).to_uppercase(),
                    now.device.to_uppercase()
                ),
                format!("Say ⟦device={}⟧, or begin anew without ⟦resume⟧.", plain(&self.device)),
            ));
        }
        let fault = |what: String| {
            Err(Error::data(
                format!("{} is of a run over another table: {what}", path.display()),
                "Name the same files, or begin anew without ⟦resume⟧.",
            ))
        };
        let (was, is) = (&self.table, &now.table);
        for ((name, was), (other, is)) in was.classes.iter().zip(&is.classes) {
            if (name, was.to_bits()) != (other, is.to_bits()) {
                return fault(format!("class {} weighed {was}, and {} weighs {is}", plain(name), plain(other)));
            }
        }
        let places = was.features.iter().zip(&is.features);
        for ((name, mean, scale), (other, mean_now, scale_now)) in places {
            if name != other {
                return fault(format!("it had a feature `{}` where this one has `{}`", plain(name), plain(other)));
            }
            if (mean.to_bits(), scale.to_bits()) != (mean_now.to_bits(), scale_now.to_bits()) {
                return fault(format!(
                    "`{}` had the mean {mean} and the standard deviation {scale}, and has {mean_now} and {scale_now}",
                    plain(name)
                ));
            }
        }
        if was.features.len() != is.features.len() || was.classes.len() != is.classes.len() {
            return fault(format!("it had {} features, and this one has {}", was.features.len(), is.features.len()));
        }
        if let Some((_, (what, _))) = was.columns.iter().zip(&is.columns).find(|(was, is)| was != is) {
            return fault(format!("{what} are others"));
        }
        if was.columns.len() != is.columns.len() {
            return fault(format!("{} columns were stored, and now {}", was.columns.len(), is.columns.len()));
        }
        Ok(())
    }
}
