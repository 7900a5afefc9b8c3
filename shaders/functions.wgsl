// Exponentials, logarithms and quotients as the device makes them: the host holds them against its own, in units of the
// last place. What logistic functions are made of is no more exact than these.

@group(0) @binding(0) var<uniform> pass_: Pass;
// [exponents, arguments of the logarithm, dividends, divisors][rows]
@group(0) @binding(1) var<storage, read> arguments: array<vec4<f32>>;
// [exponentials, logarithms, quotients][rows]
@group(0) @binding(2) var<storage, read_write> values: array<vec4<f32>>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let k = group.x * GROUP + lane;
    if (4u * k >= pass_.rows) {
        return;
    }
    values[k] = exp(arguments[k]);
    values[pass_.stride + k] = log(arguments[pass_.stride + k]);
    values[2u * pass_.stride + k] = arguments[2u * pass_.stride + k] / arguments[3u * pass_.stride + k];
}
