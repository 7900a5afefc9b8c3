//! What a device is worth beside its bandwidth: how long it takes to answer at all, and how exact its functions are.

use std::time::Instant;

use crate::data::Shape;
use crate::engine::gpu::Gpu;
use crate::engine::gpu::buffers::buffer;
use crate::engine::gpu::figures::{FunctionErrors, Latency, Survey};
use crate::engine::gpu::kernels::{GROUP, Kernel, Pass};
use crate::error::{Error, Result};

/// Arguments of each function; a multiple of four.
const ARGUMENTS: usize = 1 << 16;

/// Bytes of a copy that costs nothing but its latency.
const SMALL: u64 = 4096;

/// The error of `found` in units of the last place of `exact` as an f32.
fn units(found: f32, exact: f64) -> f64 {
    let last_place = 2.0_f64.powi((exact.abs().log2().floor() as i32).max(-126) - 23);
    (f64::from(found) - exact).abs() / last_place
}

/// `[exponents, arguments of the logarithm, dividends, divisors][ARGUMENTS]`.
fn arguments() -> Vec<f32> {
    // Places of the golden ratio's multiples fill an interval evenly, whatever their number.
    let place = |k: usize, seed: f64| (seed + k as f64 * 0.618_033_988_749_894_9).fract();
    let of = |value: &dyn Fn(usize) -> f64| (0..ARGUMENTS).map(|k| value(k) as f32).collect::<Vec<f32>>();
    let all = [
        of(&|k| -87.0 * place(k, 0.0)),
        of(&|k| 2.0_f64.powf(1.0 + 23.0 * place(k, 0.1))),
        of(&|k| 2.0_f64.powf(40.0 * place(k, 0.2) - 20.0)),
        of(&|k| 2.0_f64.powf(40.0 * place(k * k % ARGUMENTS, 0.3) - 20.0)),
    ];
    all.concat()
}

impl Gpu {
    /// Latencies and the errors of the functions.
    pub fn survey(&self) -> Result<Survey> {
        use wgpu::BufferUsages as Usage;
        let given = arguments();
        let stride = ARGUMENTS / 4;
        let bytes = (3 * ARGUMENTS * 4) as u64;
        let source = buffer(self, "arguments", given.len() * 4, Usage::COPY_DST | Usage::COPY_SRC)?;
        let values = buffer(self, "values", bytes as usize, Usage::COPY_SRC | Usage::COPY_DST)?;
        let description = buffer(self, "passes", size_of::<Pass>(), Usage::UNIFORM | Usage::COPY_DST)?;
        let back = buffer(self, "readback", bytes as usize, Usage::MAP_READ | Usage::COPY_DST)?;
        let pass = Pass { rows: ARGUMENTS as u32, stride: stride as u32, ..Pass::default() };
        self.queue.write_buffer(&source, 0, bytemuck::cast_slice(&given));
        self.queue.write_buffer(&description, 0, bytemuck::bytes_of(&pass));
        let program = self.kernels.get(&self.device, Kernel::Functions);
        let pipeline = program.pipeline(&self.device, Shape::plain(1, 1));
        let entries = [&description, &source, &values]
            .into_iter()
            .zip(0..)
            .map(|(buffer, binding)| wgpu::BindGroupEntry { binding, resource: buffer.as_entire_binding() });
        let bound = self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(&program.label),
            layout: &program.bindings,
            entries: &entries.collect::<Vec<_>>(),
        });
        let encoder = || self.encoder();
        let dispatch = |groups: usize| {
            let mut encoder = encoder();
            let mut compute = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            compute.set_pipeline(pipeline);
            compute.set_bind_group(0, &bound, &[0]);
            compute.dispatch_workgroups(groups as u32, 1, 1);
            drop(compute);
            self.submit(Some(encoder));
            self.wait()
        };
        let read = |bytes: u64| {
            let mut encoder = encoder();
            encoder.copy_buffer_to_buffer(&values, 0, &back, 0, bytes);
            self.submit(Some(encoder));
            back.map_async(wgpu::MapMode::Read, ..bytes, |_| {});
            self.wait()?;
            let view = back.get_mapped_range(..bytes).map_err(|cause| {
                Error::device(format!("the GPU's results cannot be read: {cause}"), "Use ⟦device cpu⟧.")
            })?;
            let found: Vec<f32> = bytemuck::cast_slice(&view).to_vec();
            drop(view);
            back.unmap();
            Ok(found)
        };
        dispatch(stride.div_ceil(GROUP as usize))?;
        let errors = errors_of(&given, &read(bytes)?);
        let latency = Latency {
            dispatch: median_of(|| dispatch(1))?,
            copy: median_of(|| {
                let mut encoder = encoder();
                encoder.copy_buffer_to_buffer(&source, 0, &values, 0, SMALL);
                self.submit(Some(encoder));
                self.wait()
            })?,
            readback: median_of(|| read(SMALL).map(drop))?,
        };
        Ok(Survey { latency, errors })
    }
}

fn errors_of(given: &[f32], found: &[f32]) -> FunctionErrors {
    let [exponents, arguments, dividends, divisors] =
        [0, 1, 2, 3].map(|part| &given[part * ARGUMENTS..(part + 1) * ARGUMENTS]);
    let [exponentials, logarithms, quotients] = [0, 1, 2].map(|part| &found[part * ARGUMENTS..(part + 1) * ARGUMENTS]);
    let mut errors = FunctionErrors { exp_of_allowed: 0.0, exp: 0.0, log: 0.0, division: 0.0 };
    // NaN is the largest error of all.
    let raise = |error: &mut f64, by: f64| *error = if by.is_nan() { f64::INFINITY } else { error.max(by) };
    for k in 0..ARGUMENTS {
        let x = f64::from(exponents[k]);
        let by = units(exponentials[k], x.exp());
        raise(&mut errors.exp, by);
        raise(&mut errors.exp_of_allowed, by / (3.0 + 2.0 * x.abs()));
        raise(&mut errors.log, units(logarithms[k], f64::from(arguments[k]).ln()));
        raise(&mut errors.division, units(quotients[k], f64::from(dividends[k]) / f64::from(divisors[k])));
    }
    errors
}

fn median_of(mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut seconds = Vec::with_capacity(Survey::RUNS);
    for _ in 0..Survey::RUNS {
        let begin = Instant::now();
        work()?;
        seconds.push(begin.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    Ok(seconds[Survey::RUNS / 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_in_units_of_the_last_place() {
        assert!((units(1.0 + 2.0_f32.powi(-23), 1.0) - 1.0).abs() < 1e-12);
        assert!((units(2.0_f32.powi(-20), 2.0_f64.powi(-20) * (1.0 + 2.0_f64.powi(-23))) - 1.0).abs() < 1e-12);
        let given = arguments();
        let exact: Vec<f32> = (0..ARGUMENTS)
            .map(|k| given[k].exp())
            .chain((ARGUMENTS..2 * ARGUMENTS).map(|k| given[k].ln()))
            .chain((2 * ARGUMENTS..3 * ARGUMENTS).map(|k| given[k] / given[k + ARGUMENTS]))
            .collect();
        let errors = errors_of(&given, &exact);
        assert!(errors.exp < 1.0 && errors.log < 1.0 && errors.division <= 0.5, "{errors:?}");
        let mut wrong = exact;
        wrong[ARGUMENTS + 7] = f32::from_bits(wrong[ARGUMENTS + 7].to_bits() + 5);
        wrong[9] = f32::NAN;
        let errors = errors_of(&given, &wrong);
        assert!(errors.log >= 4.0 && errors.exp == f64::INFINITY, "{errors:?}");
    }
}
