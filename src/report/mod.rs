//! What a run tells its user, as text.

use std::fmt::Write;

use crate::model::Model;

/// The model as a table for a terminal.
pub fn table(model: &Model) -> String {
    let training = &model.training;
    let mut text = String::new();
    let mut line = |name: &str, value: String| writeln!(text, "{name:<10} {value}").expect("writing to a string");
    line("model", format!("log odds of {} = {}", model.label.column, model.label.positive));
    line("data", format!("{} rows, {} positive, {} features", training.rows, training.positives, model.features.len()));
    line("device", training.device.clone());
    line(
        "status",
        format!(
            "{} after {} iterations: {} passes over the data ({} for the Hessian), {} probes",
            training.status.name(),
            training.iterations,
            training.passes.data,
            training.passes.hessian,
            training.passes.line,
        ),
    );
    line(
        "distance",
        match training.delta {
            Some(delta) if training.delta_floor > 0.0 => {
                format!(
                    "{delta:.1e} standard errors to the optimum (this device resolves {:.1e})",
                    training.delta_floor
                )
            }
            Some(delta) => format!("{delta:.1e} standard errors to the optimum"),
            None => format!("gradient {:.1e}", training.gradient_norm),
        },
    );
    line("loss", format!("{} (mean cross-entropy)", digits(training.loss)));
    if training.l2 > 0.0 {
        line(
            "penalty",
            format!("l2 = {} on {} weights", training.l2, format!("{:?}", training.penalty_scale).to_lowercase()),
        );
    }
    let seconds = training.seconds;
    line("seconds", format!("{:.3} read, {:.3} solve, {:.3} in all", seconds.read, seconds.solve, seconds.total));
    let width = model.features.iter().map(|feature| feature.name.chars().count()).max().unwrap_or(0).max(9);
    let mut row = |name: &str, cells: [String; 3]| {
        writeln!(text, "{name:<width$} {:>14} {:>14} {:>14}", cells[0], cells[1], cells[2])
            .expect("writing to a string");
    };
    row("", ["", "", ""].map(String::from));
    row("", ["coefficient", "mean", "scale"].map(String::from));
    if training.fit_intercept {
        row("intercept", [digits(model.intercept), String::new(), String::new()]);
    }
    for feature in &model.features {
        row(&feature.name, [digits(feature.coefficient), digits(feature.mean), digits(feature.scale)]);
    }
    // The padding of the last cells is of no use to anyone.
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n") + "\n"
}

/// Seven significant digits, in the shorter of the two notations.
fn digits(x: f64) -> String {
    if x == 0.0 {
        return "0".into();
    }
    if !x.is_finite() {
        return x.to_string();
    }
    let magnitude = x.abs().log10().floor() as i32;
    if (-5..9).contains(&magnitude) {
        format!("{x:.*}", usize::try_from(6 - magnitude).unwrap_or(0))
    } else {
        format!("{x:.6e}")
    }
}

#[cfg(test)]
mod tests {
    use super::digits;

    #[test]
    fn numbers_keep_seven_digits() {
        assert_eq!(digits(1.783_175_904_9), "1.783176");
        assert_eq!(digits(-0.131_238_767), "-0.1312388");
        assert_eq!(digits(1234.5), "1234.500");
        assert_eq!(digits(1e-200), "1.000000e-200");
        assert_eq!(digits(0.0), "0");
    }
}
