//! Every assembled shader, parsed by naga: its layout is the host's, its barriers suffice, and all
//! three shading languages can be written from it, for tables with and without weights and offsets.
//!
//! A software adapter runs the invocations of a workgroup in an order that hides a missing barrier, so
//! barriers are proved here from the text. Checks are functions of a text, and each is seen to refuse a
//! text with a fault planted in it.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::offset_of;
use std::path::Path;

use gpu_logreg::data::Column;
use gpu_logreg::engine::gpu::kernels::{
    Binding, EDGE, EIGHT, GROUP, HAS_LEVELS, Kernel, LEVELS, PART, PROBES, Pass, SLOT_HEAD, SOURCES, STORAGE_BUFFERS,
    WORKGROUP_BYTES,
};
use gpu_logreg::engine::layout::{COLUMN_LEVELS, HELD, TILE, tile_rows};
use naga::back::PipelineConstants;
use naga::valid::{Capabilities, GlobalUse, ModuleInfo, ValidationFlags, Validator};
use naga::{
    AddressSpace, BinaryOperator, Block, BuiltIn, Expression, Function, Handle, Literal, LocalVariable, MathFunction,
    Module, Scalar, ShaderStage, Statement, StorageAccess, TypeInner, VectorSize,
};

const PRELUDE: &str = include_str!("../shaders/prelude.wgsl");
const BARRIER: &str = "workgroupBarrier();";
const TREE: &str = "tree_sum";

fn sources() -> impl Iterator<Item = (Kernel, &'static str)> {
    assert_eq!(Kernel::ALL.len(), SOURCES.len());
    Kernel::ALL.into_iter().zip(SOURCES)
}

/// Parses and validates with what every WebGPU device has.
fn parse(source: &str) -> Result<(Module, ModuleInfo), String> {
    let module = naga::front::wgsl::parse_str(source).map_err(|error| error.emit_to_string(source))?;
    let info = Validator::new(ValidationFlags::all(), Capabilities::empty())
        .validate(&module)
        .map_err(|error| error.emit_to_string(source))?;
    Ok((module, info))
}

/// The text with its only `from` replaced.
fn edit(source: &str, from: &str, to: &str) -> String {
    assert_eq!(source.matches(from).count(), 1, "the text to edit, {from:?}, must occur once");
    source.replace(from, to)
}

fn expect(holds: bool, complaint: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(complaint()) }
}

#[track_caller]
fn assert_refused<T>(checked: Result<T, String>, fault: &str, word: &str) {
    let Err(complaint) = checked else { panic!("{fault}: not noticed") };
    assert!(!complaint.starts_with("error"), "{fault}: no valid WGSL, so nothing is shown: {complaint}");
    assert!(complaint.contains(word), "{fault}: noticed for another reason: {complaint}");
}

// ---- Files ----

#[test]
fn every_file_is_a_kernel_and_every_kernel_a_file() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders");
    let mut files = BTreeMap::new();
    for entry in folder.read_dir().expect("the folder of the shaders") {
        let path = entry.expect("an entry of the folder").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("a readable name");
        let kernel = name.strip_suffix(".wgsl").unwrap_or_else(|| panic!("{name} in shaders/ is not WGSL"));
        files.insert(kernel.to_owned(), std::fs::read_to_string(&path).expect("a readable shader"));
    }
    let [prelude, product] = ["prelude", "product"].map(|part| files.remove(part).expect("a part of several kernels"));
    assert_eq!(prelude, PRELUDE);
    let mut checked = 0;
    for (kernel, source) in sources() {
        let file = files.get(kernel.name()).unwrap_or_else(|| panic!("{kernel:?} has no file of its name"));
        let whole = match kernel {
            Kernel::Hessian | Kernel::Gram => format!("{prelude}{product}{file}"),
            _ => format!("{prelude}{file}"),
        };
        assert!(source == whole, "{kernel:?}: the source is not what its file and the parts say");
        parse(source).unwrap_or_else(|error| panic!("{kernel:?}: {error}"));
        checked += 1;
    }
    assert!(checked > 0);
    assert_eq!(checked, files.len(), "files without a kernel, or kernels of one name: {:?}", files.keys());
}

#[test]
fn every_source_has_a_translation_into_every_language() {
    let mut written = 0;
    for (kernel, source, constants) in variants() {
        let (module, info) = parse(source).expect("a valid source");
        let entry = Some((ShaderStage::Compute, "main"));
        let (module, info) = naga::back::pipeline_constants::process_overrides(&module, &info, entry, &constants)
            .unwrap_or_else(|error| panic!("{kernel:?} with {constants:?}: {error}"));
        let main = || (ShaderStage::Compute, "main".to_owned());
        written += 1;

        let pipeline =
            naga::back::spv::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: "main".into() };
        let spirv = naga::back::spv::write_vec(&module, &info, &naga::back::spv::Options::default(), Some(&pipeline));
        let spirv = spirv.unwrap_or_else(|error| panic!("{kernel:?} as SPIR-V: {error}"));
        assert_eq!(spirv.first(), Some(&0x0723_0203), "{kernel:?}: the magic number of SPIR-V");

        let options = naga::back::msl::Options { lang_version: (2, 0), ..Default::default() };
        let pipeline = naga::back::msl::PipelineOptions { entry_point: Some(main()), ..Default::default() };
        let (msl, names) = naga::back::msl::write_string(&module, &info, &options, &pipeline)
            .unwrap_or_else(|error| panic!("{kernel:?} as MSL: {error}"));
        assert!(msl.contains("kernel void"), "{kernel:?}: MSL without a kernel");
        assert!(names.entry_point_names.iter().all(Result::is_ok), "{kernel:?}: {:?}", names.entry_point_names);

        let hlsl = hlsl_of(&module, &info, false).unwrap_or_else(|error| panic!("{kernel:?}: {error}"));
        check_hlsl(&hlsl).unwrap_or_else(|error| panic!("{kernel:?}: {error}"));
    }
    assert_eq!(
        written, 33,
        "twelve kernels, nine with a column that a table may have, six that read features and have one too"
    );
}

/// HLSL as wgpu has it written for a DirectX 12 device and its default compiler, FXC.
fn hlsl_of(module: &Module, info: &ModuleInfo, zero_initialize_workgroup_memory: bool) -> Result<String, String> {
    let options = naga::back::hlsl::Options {
        shader_model: naga::back::hlsl::ShaderModel::V5_1,
        zero_initialize_workgroup_memory,
        restrict_indexing: true,
        force_loop_bounding: true,
        ..Default::default()
    };
    let main = (ShaderStage::Compute, "main".to_owned());
    let pipeline = naga::back::hlsl::PipelineOptions { entry_point: Some(main) };
    let mut hlsl = String::new();
    naga::back::hlsl::Writer::new(&mut hlsl, &options, &pipeline)
        .write(module, info, None)
        .map_err(|error| format!("HLSL: {error}"))?;
    Ok(hlsl)
}

/// The group size is there, and workgroup memory is not cleared by one invocation: FXC makes hundreds of stores of that,
/// and takes more than a minute.
fn check_hlsl(hlsl: &str) -> Result<(), String> {
    expect(hlsl.contains(&format!("[numthreads({GROUP}, 1, 1)]")), || "HLSL without its group size".into())?;
    expect(!hlsl.contains(&format!("= (float4[{GROUP}])0")), || "workgroup memory is cleared".into())
}

/// Every kernel for tables without and with its optional column, without and with levels of categories.
fn variants() -> impl Iterator<Item = (Kernel, &'static str, PipelineConstants)> {
    sources().flat_map(|(kernel, source)| {
        let optional = kernel.optional_column().map(|(_, name)| name);
        let levels = kernel.reads_features().then_some(HAS_LEVELS);
        let choices = |constant: Option<&'static str>| std::iter::once(None).chain(constant.map(Some));
        choices(optional).flat_map(move |optional| {
            choices(levels).map(move |levels| {
                let constants = optional.into_iter().chain(levels).map(|name| (name.to_owned(), 1.0)).collect();
                (kernel, source, constants)
            })
        })
    })
}

/// The constants of the pipeline: that of the kernel's optional column is among them, and all are false by default. A
/// pipeline without the column reads nothing of it: the only uses of the binding stand under the constant.
fn check_optional_column(module: &Module, kernel: Kernel) -> Result<(), String> {
    for (_, constant) in module.overrides.iter() {
        let is_false = constant
            .init
            .is_some_and(|init| module.global_expressions[init] == Expression::Literal(Literal::Bool(false)));
        expect(is_false, || format!("{:?} is not false by default", constant.name))?;
    }
    if kernel == Kernel::Hessian {
        // Whatever else it reads of the parameters would be stale.
        check_gate(module, HAS_LEVELS, "parameters")?;
    }
    if kernel.bindings().contains(&Binding::Read("sources")) {
        // Tables without categories have none.
        check_gate(module, HAS_LEVELS, "sources")?;
    }
    let Some((column, constant)) = kernel.optional_column() else { return Ok(()) };
    let name = match column {
        Column::Weight => "row_weights",
        Column::Offset(_) => "offsets",
        other => return Err(format!("{other:?} is in every table")),
    };
    check_gate(module, constant, name)
}

/// That the binding `name` is read under `if (constant)` and nowhere else.
fn check_gate(module: &Module, constant: &str, name: &str) -> Result<(), String> {
    let (gate, _) = module
        .overrides
        .iter()
        .find(|(_, there)| there.name.as_deref() == Some(constant))
        .ok_or_else(|| format!("no constant {constant}"))?;
    let (binding, _) = module
        .global_variables
        .iter()
        .find(|(_, variable)| variable.name.as_deref() == Some(name))
        .ok_or_else(|| format!("no binding {name}"))?;
    let functions = module.functions.iter().map(|(_, function)| function);
    let (mut gated, mut open) = (0, 0);
    for function in functions.chain([&module.entry_points[0].function]) {
        loads(function, &function.body, gate, binding, false, &mut |is_gated| {
            *(if is_gated { &mut gated } else { &mut open }) += 1;
        });
    }
    expect(gated > 0, || format!("{name} is never read"))?;
    expect(open == 0, || format!("{name} is read where {constant} is false"))
}

/// Tells of every load from a global variable in a block whether it stands under `if (gate)`.
fn loads(
    function: &Function,
    block: &Block,
    gate: Handle<naga::Override>,
    variable: Handle<naga::GlobalVariable>,
    is_gated: bool,
    tell: &mut dyn FnMut(bool),
) {
    for statement in block {
        match statement {
            Statement::Emit(range) => {
                for expression in range.clone() {
                    if let Expression::Load { pointer } = function.expressions[expression]
                        && matches!(root(function, pointer), Some((Root::Global(global), _)) if global == variable)
                    {
                        tell(is_gated);
                    }
                }
            }
            Statement::Block(inner) => loads(function, inner, gate, variable, is_gated, tell),
            Statement::If { condition, accept, reject } => {
                let opens = function.expressions[*condition] == Expression::Override(gate);
                loads(function, accept, gate, variable, is_gated || opens, tell);
                loads(function, reject, gate, variable, is_gated, tell);
            }
            Statement::Loop { body, continuing, .. } => {
                loads(function, body, gate, variable, is_gated, tell);
                loads(function, continuing, gate, variable, is_gated, tell);
            }
            _ => {}
        }
    }
}

/// Writes every variant as WGSL with its constants, as SPIR-V and as HLSL into the folder `SHADERS_INTO`, and two texts that
/// a compiler of HLSL should refuse: `tests/campaigns/compilers.sh` gives them to real compilers.
#[test]
#[ignore = "writes files for a campaign"]
fn write_for_other_compilers() {
    let folder = std::env::var("SHADERS_INTO").expect("the folder to write into");
    let write = |name: String, bytes: &[u8]| std::fs::write(Path::new(&folder).join(name), bytes).expect("is written");
    let fixed = |source: &str, constants: &PipelineConstants| {
        let (module, info) = parse(source).expect("a valid source");
        let entry = Some((ShaderStage::Compute, "main"));
        let fixed = naga::back::pipeline_constants::process_overrides(&module, &info, entry, constants);
        let (module, info) = fixed.expect("constants of the source");
        (module.into_owned(), info.into_owned())
    };
    for (kernel, source, constants) in variants() {
        let mut names: Vec<&str> = constants.keys().map(|name| name.trim_start_matches("HAS_")).collect();
        names.sort_unstable();
        let name = [&[kernel.name()], &names[..]].concat().join("-").to_lowercase();
        let values: Vec<String> = constants.keys().map(|constant| format!("\"{constant}\": 1")).collect();
        write(format!("{name}.constants"), format!("{{{}}}", values.join(", ")).as_bytes());
        write(format!("{name}.wgsl"), source.as_bytes());
        let (module, info) = fixed(source, &constants);
        let pipeline =
            naga::back::spv::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: "main".into() };
        let options = naga::back::spv::Options {
            zero_initialize_workgroup_memory: naga::back::spv::ZeroInitializeWorkgroupMemoryMode::None,
            ..Default::default()
        };
        let words = naga::back::spv::write_vec(&module, &info, &options, Some(&pipeline));
        let bytes: Vec<u8> = words.expect("SPIR-V").into_iter().flat_map(u32::to_le_bytes).collect();
        write(format!("{name}.spv"), &bytes);
        write(format!("{name}.hlsl"), hlsl_of(&module, &info, false).expect("HLSL").as_bytes());
    }
    let none = PipelineConstants::default();
    let indexed = edit(
        SOURCES[Kernel::Probe as usize],
        "slope += in_place(p, sum_of_rows(weighed(w, residual_by(e, at, t) * u)));",
        "slope[p] += sum_of_rows(weighed(w, residual_by(e, at, t) * u));",
    );
    let (module, info) = fixed(&indexed, &none);
    write("control-indexed.hlsl".into(), hlsl_of(&module, &info, false).expect("HLSL").as_bytes());
    let (module, info) = fixed(SOURCES[Kernel::Hessian as usize], &none);
    write("control-cleared.hlsl".into(), hlsl_of(&module, &info, true).expect("HLSL").as_bytes());
}

// ---- Banks ----

/// Wavefronts of 32 invocations that access 16 bytes each, at these places of 16 bytes: eight invocations go at a time, and
/// of the 32 banks, four bytes wide, each serves one address. Four is the least.
fn wavefronts(places: &[u32]) -> usize {
    let of_eight = |eight: &[u32]| {
        let mut addresses = [const { BTreeSet::new() }; 8];
        for &place in eight {
            addresses[place as usize % 8].insert(place);
        }
        addresses.iter().map(BTreeSet::len).max().unwrap_or(0)
    };
    places.chunks(8).map(of_eight).sum()
}

/// What an expression of whole numbers is for an invocation, where every local variable is `counter`.
fn index_of(module: &Module, main: &Function, expression: Handle<Expression>, lane: u32, counter: u32) -> Option<u32> {
    let of = |operand| index_of(module, main, operand, lane, counter);
    if let Some(number) = literal(module, main, expression) {
        return Some(number);
    }
    match main.expressions[expression] {
        Expression::FunctionArgument(index) => {
            let is_lane = naga::Binding::BuiltIn(BuiltIn::LocalInvocationIndex);
            (main.arguments[index as usize].binding == Some(is_lane)).then_some(lane)
        }
        Expression::Load { pointer } => {
            matches!(main.expressions[pointer], Expression::LocalVariable(_)).then_some(counter)
        }
        Expression::Binary { op, left, right } => {
            let (left, right) = (of(left)?, of(right)?);
            match op {
                BinaryOperator::Add => left.checked_add(right),
                BinaryOperator::Multiply => left.checked_mul(right),
                BinaryOperator::Divide => left.checked_div(right),
                BinaryOperator::Modulo => left.checked_rem(right),
                BinaryOperator::ExclusiveOr => Some(left ^ right),
                _ => None,
            }
        }
        _ => None,
    }
}

/// No access of `main` to workgroup memory waits for a bank. Gives how many accesses there are.
fn check_banks(source: &str) -> Result<usize, String> {
    let (module, _) = parse(source)?;
    let main = &module.entry_points[0].function;
    let mut seen = 0;
    for (_, expression) in main.expressions.iter() {
        let Expression::Access { base, index } = *expression else { continue };
        let Expression::GlobalVariable(variable) = main.expressions[base] else { continue };
        if module.global_variables[variable].space != AddressSpace::WorkGroup {
            continue;
        }
        seen += 1;
        let name = module.global_variables[variable].name.as_deref().unwrap_or_default();
        for counter in 0..8 {
            for first in (0..GROUP).step_by(32) {
                let places: Option<Vec<u32>> =
                    (first..first + 32).map(|lane| index_of(&module, main, index, lane, counter)).collect();
                let places = places.ok_or_else(|| format!("a place of {name} is not known beforehand"))?;
                let count = wavefronts(&places);
                expect(count == 4, || format!("{count} wavefronts for an access to {name}, where 4 would do"))?;
            }
        }
    }
    Ok(seen)
}

#[test]
fn products_of_columns_wait_for_no_bank() {
    for kernel in [Kernel::Hessian, Kernel::Gram] {
        let source = SOURCES[kernel as usize];
        // Two stores each of the left and the right side, and two loads.
        assert_eq!(check_banks(source), Ok(8), "{kernel:?}");
        let faults = [
            ("right[b * 8u + (i ^ (b % 8u))]", "right[b * 8u + i]", "32 wavefronts for an access to right"),
            ("right[(b + 16u) * 8u + (i ^ (b % 8u))]", "right[(b + 16u) * 8u + (i ^ (b / 2u % 8u))]", "8 wavefronts"),
        ];
        for (from, to, word) in faults {
            assert_refused(check_banks(&edit(source, from, to)), &format!("{from:?} made {to:?}"), word);
        }
    }
}

// ---- Layout ----

fn check_entry_point(module: &Module) -> Result<(), String> {
    let [entry] = &module.entry_points[..] else {
        return Err(format!("{} entry points instead of one", module.entry_points.len()));
    };
    expect(entry.name == "main", || format!("the entry point is called {}", entry.name))?;
    expect(entry.stage == ShaderStage::Compute, || format!("the stage is {:?}", entry.stage))?;
    expect(entry.workgroup_size == [GROUP, 1, 1] && entry.workgroup_size_overrides.is_none(), || {
        format!("the workgroup size is {:?}", entry.workgroup_size)
    })
}

fn constant(module: &Module, name: &str) -> Result<u64, String> {
    let (_, constant) = module
        .constants
        .iter()
        .find(|(_, constant)| constant.name.as_deref() == Some(name))
        .ok_or_else(|| format!("no constant {name}"))?;
    match module.global_expressions[constant.init] {
        Expression::Literal(Literal::U32(value)) => Ok(u64::from(value)),
        ref other => Err(format!("the constant {name} is {other:?}")),
    }
}

fn check_constants(module: &Module) -> Result<(), String> {
    let (group, tile) = (constant(module, "GROUP")?, constant(module, "TILE")?);
    expect(group == u64::from(GROUP), || format!("GROUP is {group} there and {GROUP} here"))?;
    expect(tile == TILE as u64, || format!("TILE is {tile} there and {TILE} here"))
}

/// Constants that a kernel has of its own.
fn check_own_constants(module: &Module, host: &[(&str, u64)]) -> Result<(), String> {
    for &(name, host) in host {
        let there = constant(module, name)?;
        expect(there == host, || format!("{name} is {there} there and {host} here"))?;
    }
    Ok(())
}

/// Order, names and access of the bindings, and that the kernel uses each of them as it says.
fn check_bindings(module: &Module, info: &ModuleInfo, kernel: Kernel) -> Result<(), String> {
    let mut bound: Vec<_> = module.global_variables.iter().filter(|(_, variable)| variable.binding.is_some()).collect();
    // A text of several parts declares them in the order in which its functions need them.
    bound.sort_by_key(|(_, variable)| variable.binding.map(|at| (at.group, at.binding)));
    let expected = kernel.bindings();
    expect(bound.len() == expected.len(), || format!("{} bindings, not {}", bound.len(), expected.len()))?;
    for ((index, &(handle, variable)), binding) in bound.iter().enumerate().zip(expected) {
        let at = variable.binding.expect("only bound variables are left");
        let name = variable.name.as_deref().unwrap_or_default();
        expect((at.group, at.binding) == (0, index as u32), || format!("{name} is at {at:?} instead of {index}"))?;
        let (expected_name, space, uses) = match *binding {
            Binding::Pass => ("pass_", AddressSpace::Uniform, GlobalUse::READ),
            Binding::Read(name) => (name, AddressSpace::Storage { access: StorageAccess::LOAD }, GlobalUse::READ),
            Binding::Write(name) => {
                let access = StorageAccess::LOAD | StorageAccess::STORE;
                (name, AddressSpace::Storage { access }, GlobalUse::WRITE)
            }
        };
        expect(name == expected_name, || format!("binding {index} is {name} instead of {expected_name}"))?;
        expect(variable.space == space, || format!("{name} is {:?} instead of {space:?}", variable.space))?;
        let is_pass = module.types[variable.ty].name.as_deref() == Some("Pass");
        expect(is_pass == (*binding == Binding::Pass), || format!("{name} has the wrong type"))?;
        let used = info.get_entry_point(0)[handle];
        expect(used.contains(uses), || format!("{name} is used as {used:?}, without {uses:?}"))?;
    }
    Ok(())
}

fn storage_buffers(module: &Module) -> u64 {
    let storage = |space| matches!(space, AddressSpace::Storage { .. });
    module.global_variables.iter().filter(|(_, variable)| storage(variable.space)).count() as u64
}

/// Bytes of the workgroup memory that the entry point uses.
fn workgroup_bytes(module: &Module, info: &ModuleInfo) -> u64 {
    let used = |handle: Handle<naga::GlobalVariable>| !info.get_entry_point(0)[handle].is_empty();
    module
        .global_variables
        .iter()
        .filter(|&(handle, variable)| variable.space == AddressSpace::WorkGroup && used(handle))
        .map(|(_, variable)| u64::from(module.types[variable.ty].inner.size(module.to_ctx())))
        .sum()
}

/// The WGSL type of a host type.
trait Wgsl {
    const TYPE: TypeInner;
}

impl Wgsl for u32 {
    const TYPE: TypeInner = TypeInner::Scalar(Scalar::U32);
}

impl Wgsl for f32 {
    const TYPE: TypeInner = TypeInner::Scalar(Scalar::F32);
}

impl Wgsl for [f32; 4] {
    const TYPE: TypeInner = TypeInner::Vector { size: VectorSize::Quad, scalar: Scalar::F32 };
}

fn type_of<T: Wgsl>(_: &T) -> TypeInner {
    T::TYPE
}

/// Names, types, offsets and size of the struct `Pass`.
fn check_pass(module: &Module) -> Result<(), String> {
    // A field more or less on the host does not compile here.
    let Pass {
        rows,
        stride,
        features,
        block_rows,
        reads_direction,
        intercept,
        first_block,
        product,
        margins,
        hessian_rows,
        first_pair,
        probes,
        stamp,
        state,
        inputs,
        others,
        first_piece,
        unused: _,
        steps,
    } = Pass::default();
    let host = [
        ("rows", type_of(&rows), offset_of!(Pass, rows)),
        ("stride", type_of(&stride), offset_of!(Pass, stride)),
        ("features", type_of(&features), offset_of!(Pass, features)),
        ("block_rows", type_of(&block_rows), offset_of!(Pass, block_rows)),
        ("reads_direction", type_of(&reads_direction), offset_of!(Pass, reads_direction)),
        ("intercept", type_of(&intercept), offset_of!(Pass, intercept)),
        ("first_block", type_of(&first_block), offset_of!(Pass, first_block)),
        ("product", type_of(&product), offset_of!(Pass, product)),
        ("margins", type_of(&margins), offset_of!(Pass, margins)),
        ("hessian_rows", type_of(&hessian_rows), offset_of!(Pass, hessian_rows)),
        ("first_pair", type_of(&first_pair), offset_of!(Pass, first_pair)),
        ("probes", type_of(&probes), offset_of!(Pass, probes)),
        ("stamp", type_of(&stamp), offset_of!(Pass, stamp)),
        ("state", type_of(&state), offset_of!(Pass, state)),
        ("inputs", type_of(&inputs), offset_of!(Pass, inputs)),
        ("others", type_of(&others), offset_of!(Pass, others)),
        ("first_piece", type_of(&first_piece), offset_of!(Pass, first_piece)),
        ("steps", type_of(&steps), offset_of!(Pass, steps)),
    ];
    let (_, pass) = module
        .types
        .iter()
        .find(|(_, ty)| ty.name.as_deref() == Some("Pass"))
        .ok_or_else(|| "no struct Pass".to_owned())?;
    let TypeInner::Struct { members, span } = &pass.inner else { return Err("Pass is not a struct".into()) };
    expect(members.len() == host.len(), || format!("{} members of Pass, not {}", members.len(), host.len()))?;
    for (member, (name, ty, offset)) in members.iter().zip(host) {
        let there =
            (member.name.as_deref().unwrap_or_default(), &module.types[member.ty].inner, member.offset as usize);
        expect(there == (name, &ty, offset), || format!("Pass has {there:?} there and {name}, {ty:?}, {offset} here"))?;
    }
    expect(*span as usize == size_of::<Pass>(), || format!("Pass has {span} bytes there, {} here", size_of::<Pass>()))
}

fn literal(module: &Module, function: &Function, expression: Handle<Expression>) -> Option<u32> {
    match function.expressions[expression] {
        Expression::Literal(Literal::U32(value)) => Some(value),
        Expression::Constant(constant) => match module.global_expressions[module.constants[constant].init] {
            Expression::Literal(Literal::U32(value)) => Some(value),
            _ => None,
        },
        _ => None,
    }
}

/// What an expression of whole numbers is for a table of that many `features`; `None` beyond what is known here.
fn number(module: &Module, function: &Function, expression: Handle<Expression>, features: u32) -> Option<u32> {
    let of = |operand| number(module, function, operand, features);
    if let Some(number) = literal(module, function, expression) {
        return Some(number);
    }
    match function.expressions[expression] {
        Expression::Load { pointer } => is_features(module, function, pointer).then_some(features),
        Expression::Binary { op, left, right } => {
            let (left, right) = (of(left)?, of(right)?);
            match op {
                BinaryOperator::Subtract => left.checked_sub(right),
                BinaryOperator::Divide => left.checked_div(right),
                BinaryOperator::ShiftRight => left.checked_shr(right),
                _ => None,
            }
        }
        Expression::Math { fun: MathFunction::Min, arg, arg1: Some(other), .. } => Some(of(arg)?.min(of(other)?)),
        Expression::Math { fun: MathFunction::CountLeadingZeros, arg, .. } => Some(of(arg)?.leading_zeros()),
        _ => None,
    }
}

/// Whether a pointer is to `pass_.features`.
fn is_features(module: &Module, function: &Function, pointer: Handle<Expression>) -> bool {
    let Expression::AccessIndex { base, index } = function.expressions[pointer] else { return false };
    let Expression::GlobalVariable(pass) = function.expressions[base] else { return false };
    match &module.types[module.global_variables[pass].ty].inner {
        TypeInner::Struct { members, .. } => members[index as usize].name.as_deref() == Some("features"),
        _ => false,
    }
}

/// The tiles of `evaluate` are the host's, whatever the number of columns, and its accumulators run as far.
fn check_tiles(module: &Module) -> Result<(), String> {
    let levels = u64::from(COLUMN_LEVELS);
    check_own_constants(module, &[("HELD", HELD as u64), ("PART", PART as u64), ("COLUMN_LEVELS", levels)])?;
    let main = &module.entry_points[0].function;
    let (&row_lanes, _) = main
        .named_expressions
        .iter()
        .find(|(_, name)| *name == "row_lanes")
        .ok_or_else(|| "no row_lanes".to_owned())?;
    for features in 1..=3_000 {
        let (there, here) = (number(module, main, row_lanes, features), tile_rows(features as usize) / 4);
        expect(there == Some(here as u32), || {
            format!("the row lanes of {features} columns are {there:?} there and {here} here")
        })?;
    }
    Ok(())
}

/// A slot of `evaluate` has `SLOT_HEAD` entries before the gradient: `slot = group.x * (features + head)`.
fn check_slot_head(module: &Module) -> Result<(), String> {
    let main = &module.entry_points[0].function;
    let slots = main.named_expressions.iter().filter(|(_, name)| *name == "slot");
    let heads: Vec<_> = slots
        .map(|(&slot, _)| match main.expressions[slot] {
            Expression::Binary { op: BinaryOperator::Multiply, right, .. } => match main.expressions[right] {
                Expression::Binary { op: BinaryOperator::Add, right, .. } => literal(module, main, right),
                _ => None,
            },
            _ => None,
        })
        .collect();
    expect(heads == [Some(SLOT_HEAD as u32)], || format!("the heads of a slot are {heads:?}, not {SLOT_HEAD}"))
}

/// `probe` takes the steps that it is asked for, as many as the pass has at most: its loop runs while `p < pass_.probes`.
fn check_probes(module: &Module) -> Result<(), String> {
    let main = &module.entry_points[0].function;
    let is_p = |pointer| match main.expressions[pointer] {
        Expression::LocalVariable(local) => main.local_variables[local].name.as_deref() == Some("p"),
        _ => false,
    };
    let bounds: Vec<_> = main
        .expressions
        .iter()
        .filter_map(|(_, expression)| match *expression {
            Expression::Binary { op: BinaryOperator::Less, left, right } => match main.expressions[left] {
                Expression::Load { pointer } if is_p(pointer) => Some(is_member(module, main, right, "probes")),
                _ => None,
            },
            _ => None,
        })
        .collect();
    expect(bounds == [true], || format!("the bounds of p are {bounds:?}, not the steps asked for"))?;
    expect(Pass::default().steps.len() == PROBES, || "the pass has other steps".into())
}

/// Whether an expression is that member of the pass.
fn is_member(module: &Module, function: &Function, expression: Handle<Expression>, name: &str) -> bool {
    let Expression::Load { pointer } = function.expressions[expression] else { return false };
    let Expression::AccessIndex { base, index } = function.expressions[pointer] else { return false };
    let Expression::GlobalVariable(pass) = function.expressions[base] else { return false };
    match &module.types[module.global_variables[pass].ty].inner {
        TypeInner::Struct { members, .. } => members[index as usize].name.as_deref() == Some(name),
        _ => false,
    }
}

/// No store goes to a component of a vector by an index that is no constant: FXC has none such (X3550), unrolls the loop
/// around it and fails (X3511).
fn check_stores(module: &Module) -> Result<(), String> {
    fn by_index(
        module: &Module,
        function: &Function,
        info: &naga::valid::FunctionInfo,
        block: &Block,
    ) -> Result<(), String> {
        for statement in block {
            match statement {
                Statement::Store { pointer, .. } => {
                    let Expression::Access { base, .. } = function.expressions[*pointer] else { continue };
                    let vector = match info[base].ty.inner_with(&module.types) {
                        TypeInner::Pointer { base, .. } => {
                            matches!(module.types[*base].inner, TypeInner::Vector { .. })
                        }
                        other => matches!(other, TypeInner::ValuePointer { size: Some(_), .. }),
                    };
                    expect(!vector, || "a store to a component of a vector by an index that varies".into())?;
                }
                Statement::Block(inner) => by_index(module, function, info, inner)?,
                Statement::If { accept: one, reject: two, .. } | Statement::Loop { body: one, continuing: two, .. } => {
                    by_index(module, function, info, one)?;
                    by_index(module, function, info, two)?;
                }
                _ => {}
            }
        }
        Ok(())
    }
    let info = Validator::new(ValidationFlags::all(), Capabilities::empty()).validate(module);
    let info = info.map_err(|error| format!("{error}"))?;
    for (handle, function) in module.functions.iter() {
        by_index(module, function, &info[handle], &function.body)?;
    }
    let main = &module.entry_points[0].function;
    by_index(module, main, info.get_entry_point(0), &main.body)
}

#[test]
fn what_a_compiler_of_hlsl_refuses_is_refused_here() {
    // As they were once, when no table could be trained on DirectX 12.
    let sums = "loss += in_place(p, sum_of_rows(weighed(w, select(vec4(0.0), loss_by(e, at, t), counts))));";
    let indexed = "loss[p] += sum_of_rows(weighed(w, select(vec4(0.0), loss_by(e, at, t), counts)));";
    let text = edit(SOURCES[Kernel::Probe as usize], sums, indexed);
    assert_refused(check_layout(&text, Kernel::Probe), "probe with an indexed store", "by an index that varies");
    let sums = "slope += in_place(p, sum_of_rows(weighed(w, (u_a - u_t) + mean)));";
    let indexed = "slope[p] += sum_of_rows(weighed(w, (u_a - u_t) + mean));";
    let text = edit(SOURCES[Kernel::SoftmaxTerms as usize], sums, indexed);
    assert_refused(check_layout(&text, Kernel::SoftmaxTerms), "softmax_terms with one", "by an index that varies");

    let (module, info) = parse(SOURCES[Kernel::Hessian as usize]).expect("a valid source");
    let none = PipelineConstants::default();
    let entry = Some((ShaderStage::Compute, "main"));
    let (module, info) =
        naga::back::pipeline_constants::process_overrides(&module, &info, entry, &none).expect("constants by default");
    let cleared = hlsl_of(&module, &info, true).expect("valid HLSL");
    assert_refused(check_hlsl(&cleared), "memory that is cleared", "is cleared");
}

/// The pieces of the Hessian are the host's, and the workgroup fills one: each invocation four of its
/// products, and in each step one column of each side and four rows.
fn check_hessian(module: &Module) -> Result<(), String> {
    let group = u64::from(GROUP);
    check_own_constants(module, &[("EDGE", EDGE as u64), ("PART", PART as u64), ("LEVELS", u64::from(LEVELS))])?;
    let (edge, step) = (constant(module, "EDGE")?, constant(module, "STEP")?);
    expect(edge * edge == 4 * group, || format!("a piece of {edge} columns is not {group} times four products"))?;
    expect(step * edge == 4 * group && (PART as u64).is_multiple_of(step), || {
        format!("a STEP of {step} rows does not fit")
    })
}

/// The pieces of the class sums are the host's: each invocation has a column and a row lane, and loads a class and four rows.
fn check_class_sums(module: &Module) -> Result<(), String> {
    let group = u64::from(GROUP);
    let host = [("EDGE", EDGE as u64), ("EIGHT", EIGHT as u64), ("PART", PART as u64), ("LEVELS", u64::from(LEVELS))];
    check_own_constants(module, &host)?;
    let step = constant(module, "STEP")?;
    expect(EDGE as u64 * EIGHT as u64 == group, || format!("{EDGE} columns of {EIGHT} classes are not {group}"))?;
    let held = constant(module, "HELD")?;
    let fits = step == 4 * held && held * EIGHT as u64 == group && held.is_multiple_of(EIGHT as u64);
    expect(fits && (PART as u64).is_multiple_of(step), || format!("a STEP of {step} rows does not fit"))
}

/// `softmax_margin` stores each of the margins that the host counts for a workgroup, and no other.
fn check_eight(module: &Module) -> Result<(), String> {
    let main = &module.entry_points[0].function;
    let stores = main
        .body
        .iter()
        .filter(|statement| matches!(statement, Statement::Call { function, .. } if module.functions[*function].name.as_deref() == Some("store")))
        .count();
    expect(stores == EIGHT, || format!("{stores} margins are stored, not {EIGHT}"))
}

fn check_layout(source: &str, kernel: Kernel) -> Result<(), String> {
    let (module, info) = parse(source)?;
    check_entry_point(&module)?;
    check_constants(&module)?;
    check_bindings(&module, &info, kernel)?;
    check_pass(&module)?;
    check_optional_column(&module, kernel)?;
    check_stores(&module)?;
    let (buffers, bytes) = (storage_buffers(&module), workgroup_bytes(&module, &info));
    expect(buffers <= STORAGE_BUFFERS, || format!("{buffers} storage buffers, more than {STORAGE_BUFFERS}"))?;
    expect(bytes <= WORKGROUP_BYTES, || format!("{bytes} bytes of workgroup memory, more than {WORKGROUP_BYTES}"))?;
    match kernel {
        Kernel::Evaluate => check_slot_head(&module).and_then(|()| check_tiles(&module)),
        Kernel::Probe => check_probes(&module),
        Kernel::Hessian | Kernel::Gram => check_hessian(&module),
        Kernel::SoftmaxMargin => check_eight(&module),
        Kernel::ClassSums => check_class_sums(&module),
        Kernel::Margin
        | Kernel::Advance
        | Kernel::SoftmaxTerms
        | Kernel::SoftmaxFactor
        | Kernel::Checksum
        | Kernel::Functions => Ok(()),
    }
}

#[test]
fn layout_is_that_of_the_host() {
    let (mut buffers, mut bytes) = (0, 0);
    for (kernel, source) in sources() {
        check_layout(source, kernel).unwrap_or_else(|error| panic!("{kernel:?}: {error}"));
        let (module, info) = parse(source).expect("checked above");
        buffers = buffers.max(storage_buffers(&module));
        bytes = bytes.max(workgroup_bytes(&module, &info));
    }
    // What the host asks a device for is needed, and no more.
    assert_eq!(buffers, STORAGE_BUFFERS);
    assert_eq!(bytes, WORKGROUP_BYTES);
}

#[test]
fn prelude_alone_is_valid_and_binds_nothing() {
    let (module, _) = parse(PRELUDE).unwrap_or_else(|error| panic!("{error}"));
    assert!(module.global_variables.iter().all(|(_, variable)| variable.binding.is_none()));
    assert!(module.entry_points.is_empty());
}

#[test]
fn a_layout_that_is_not_the_hosts_is_refused() {
    let source = |kernel: Kernel| SOURCES[kernel as usize];
    let second = "@compute @workgroup_size(256) fn other() {}";
    let faults = [
        (Kernel::Margin, "TILE: u32 = 1024u", "TILE: u32 = 512u", "TILE"),
        (Kernel::Margin, "GROUP: u32 = 256u", "GROUP: u32 = 128u", "GROUP"),
        (Kernel::Margin, "fn main(", "fn other(", "called other"),
        (Kernel::Margin, "@workgroup_size(256)", "@workgroup_size(128)", "workgroup size"),
        (Kernel::Margin, "@workgroup_size(256)", "@workgroup_size(16, 16)", "workgroup size"),
        (
            Kernel::Margin,
            "@compute @workgroup_size(256)",
            &format!("{second} @compute @workgroup_size(256)"),
            "2 entry",
        ),
        (Kernel::Probe, "    stride: u32,          // vec4s from one column to the next\n", "", "17 members of Pass"),
        (
            Kernel::Margin,
            "    first_block: u32,     // block that the first workgroup takes (the Hessian's dispatches are several)\n",
            "",
            "17 members of Pass",
        ),
        (Kernel::Margin, "    product: u32,", "    product: f32,", "product"),
        (Kernel::Margin, "steps: vec4<f32>,", "steps: vec4<f32>, more: u32,", "members of Pass"),
        (Kernel::Margin, "var<storage, read> parameters", "var<storage, read_write> parameters", "parameters is"),
        (Kernel::Margin, "@binding(2)", "@binding(9)", "instead of 2"),
        (Kernel::Margin, "@group(0) @binding(2)", "@group(1) @binding(2)", "instead of 2"),
        (
            Kernel::Advance,
            "@compute",
            "@group(0) @binding(3) var<storage, read> more: array<f32>;\n@compute",
            "4 bindings",
        ),
        (
            Kernel::Checksum,
            "columns[column * pass_.stride + row / 4u]",
            "vec4(column * pass_.stride)",
            "columns is used",
        ),
        (Kernel::Checksum, "var<storage, read> columns", "var<storage, read_write> columns", "columns is"),
        (Kernel::Margin, "    others: u32, ", "    others: f32, ", "others"),
        (Kernel::Margin, "if (HAS_OFFSETS)", "if (HAS_OFFSETS || pass_.rows > 0u)", "offsets is never read"),
        (Kernel::Margin, "if (HAS_OFFSETS) {\n            z +=", "{\n            z +=", "offsets is never read"),
        (Kernel::Margin, "var z = vec4(pass_.intercept);", "var z = offsets[k];", "offsets is read where"),
        (Kernel::Margin, "override HAS_OFFSETS: bool = false", "override HAS_OFFSETS: bool = true", "not false"),
        (Kernel::Evaluate, "var w = vec4(1.0);", "var w = row_weights[k];", "row_weights is read where"),
        (Kernel::Probe, "var w = vec4(1.0);", "var w = row_weights[k];", "row_weights is read where"),
        (Kernel::Hessian, "var w = vec4(1.0);", "var w = row_weights[k];", "row_weights is read where"),
        (Kernel::Hessian, "        if (HAS_LEVELS) {", "        if (true) {", "parameters is never read"),
        (Kernel::Evaluate, "HAS_LEVELS: bool = false", "HAS_LEVELS: bool = true", "not false"),
        (Kernel::Hessian, "HAS_ROW_WEIGHTS: bool = false", "HAS_ROW_WEIGHTS: bool = true", "not false"),
        (Kernel::Evaluate, "pass_.features + 4u;", "pass_.features + 5u;", "heads of a slot"),
        (
            Kernel::Evaluate,
            "var<workgroup> tile_residuals: array<vec4<f32>, GROUP>",
            "var<workgroup> tile_residuals: array<vec4<f32>, TILE>",
            "bytes of workgroup memory",
        ),
        (Kernel::Evaluate, "HELD: u32 = 8u", "HELD: u32 = 4u", "HELD"),
        (Kernel::Evaluate, "PART: u32 = 256u", "PART: u32 = 512u", "PART"),
        (Kernel::Evaluate, "COLUMN_LEVELS: u32 = 7u", "COLUMN_LEVELS: u32 = 6u", "COLUMN_LEVELS"),
        (Kernel::Evaluate, "(pass_.features - 1u) / HELD)", "pass_.features / HELD)", "row lanes of 8 columns"),
        (Kernel::Evaluate, "32u - countLeadingZeros", "31u - countLeadingZeros", "row lanes of"),
        (Kernel::Probe, "p < pass_.probes", "p < 3u", "bounds of p"),
        (Kernel::Hessian, "EDGE: u32 = 32u", "EDGE: u32 = 16u", "EDGE"),
        (Kernel::Hessian, "PART: u32 = 256u", "PART: u32 = 512u", "PART"),
        (Kernel::Hessian, "LEVELS: u32 = 8u", "LEVELS: u32 = 7u", "LEVELS"),
        (Kernel::Hessian, "STEP: u32 = 32u", "STEP: u32 = 64u", "STEP"),
        (Kernel::Gram, "EDGE: u32 = 32u", "EDGE: u32 = 16u", "EDGE"),
        (Kernel::Gram, "PART: u32 = 256u", "PART: u32 = 512u", "PART"),
        (Kernel::Gram, "LEVELS: u32 = 8u", "LEVELS: u32 = 7u", "LEVELS"),
        (Kernel::Gram, "STEP: u32 = 32u", "STEP: u32 = 64u", "STEP"),
        (Kernel::ClassSums, "EDGE: u32 = 32u", "EDGE: u32 = 16u", "EDGE"),
        (Kernel::ClassSums, "EIGHT: u32 = 8u", "EIGHT: u32 = 4u", "EIGHT"),
        (Kernel::ClassSums, "PART: u32 = 256u", "PART: u32 = 512u", "PART"),
        (Kernel::ClassSums, "LEVELS: u32 = 8u", "LEVELS: u32 = 7u", "LEVELS"),
        (Kernel::ClassSums, "STEP: u32 = 128u", "STEP: u32 = 256u", "STEP"),
        (Kernel::ClassSums, "HELD: u32 = 32u", "HELD: u32 = 16u", "STEP"),
        (Kernel::SoftmaxMargin, "    store(8u * group.x + 7u, k, high[3], here);\n", "", "7 margins"),
        (Kernel::SoftmaxMargin, "        if (HAS_LEVELS) {", "        if (true) {", "sources is never read"),
        (Kernel::Gram, "    if (HAS_LEVELS) {", "    if (true) {", "sources is never read"),
        (Kernel::ClassSums, "    if (HAS_LEVELS) {", "    if (true) {", "sources is never read"),
        (Kernel::SoftmaxMargin, "var x = vec4(0.0);", "var x = vec4(sources[0]);", "sources is read where"),
        (Kernel::SoftmaxTerms, "var w = vec4(1.0);", "var w = row_weights[k];", "row_weights is read where"),
        (Kernel::SoftmaxFactor, "var w = vec4(1.0);", "var w = row_weights[k];", "row_weights is read where"),
        (Kernel::ClassSums, "var w = vec4(1.0);", "var w = row_weights[k];", "row_weights is read where"),
        (Kernel::Gram, "var w = vec4(1.0);", "var w = row_weights[k];", "row_weights is read where"),
        (
            Kernel::ClassSums,
            "var<storage, read_write> class_slots: array<f32>",
            "var<storage, read_write> class_slots: array<f32>;\n@group(0) @binding(8) var<storage, read> more: array<f32>",
            "9 bindings",
        ),
    ];
    for (kernel, from, to, word) in faults {
        let text = edit(source(kernel), from, to);
        assert_refused(check_layout(&text, kernel), &format!("{from:?} made {to:?} in {kernel:?}"), word);
    }

    let swapped = edit(source(Kernel::Probe), "@binding(1)", "@binding(99)");
    let swapped = edit(&edit(&swapped, "@binding(2)", "@binding(1)"), "@binding(99)", "@binding(2)");
    assert_refused(check_layout(&swapped, Kernel::Probe), "two bindings swapped", "instead of");
    // The texts swapped as well, so that the indices ascend and only the names are wrong.
    let names = edit(source(Kernel::Probe), "read> labels:", "read> elsewhere:");
    let names = edit(&edit(&names, "read> margins:", "read> labels:"), "read> elsewhere:", "read> margins:");
    assert_refused(check_layout(&names, Kernel::Probe), "two names swapped", "instead of labels");
}

// ---- Barriers ----
//
// Two accesses race if different invocations make them to one element, at least one stores, and no
// workgroup barrier lies between. The walk follows the statements of `main`, calls inlined, and keeps the
// accesses since the last barrier as *pending*; each new access is held against all of them. That covers
// every order in which the invocations may run: whatever two of them do between the same two barriers,
// one walk meets both. Branches that invocations take differently are walked one after the other, since
// both run between the same barriers; loops are walked until nothing new is pending.
//
// Two elements are known to differ for two reasons only:
// - `Own`: the index is the invocation's own number, so no two invocations share an element;
// - `Partner`: the step of the tree. Invocations with `lane % span < half` read `lane + half` and store
//   `lane`. As 2 half <= span, the remainder of `lane + half` is at least `half`: no invocation of the
//   step stores there. This holds for one value of `half`, so only inside one run of the guarded block.
// All other indices may be any element.
//
// naga's own uniformity analysis takes every local variable for non-uniform and never refuses a barrier,
// so the walk tells itself what is uniform and refuses a barrier in control flow that is not.
// What the walk does not know (atomics, switches, pointers as arguments) it refuses.

/// What is known of a value across the invocations of a workgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    Constant(u32),
    /// A uniform power of two from 1 to [`GROUP`].
    Power,
    Uniform,
    /// The invocation's number.
    Lane,
    Varying,
}

impl Value {
    fn is_uniform(self) -> bool {
        matches!(self, Self::Constant(_) | Self::Power | Self::Uniform)
    }

    fn is_power(self) -> bool {
        match self {
            Self::Constant(value) => value.is_power_of_two() && value <= GROUP,
            _ => self == Self::Power,
        }
    }

    /// Either of the two.
    fn or(self, other: Self) -> Self {
        if self == other { self } else { Self::of([self, other]) }
    }

    /// A result of these operands.
    fn of(operands: impl IntoIterator<Item = Self>) -> Self {
        if operands.into_iter().all(Self::is_uniform) { Self::Uniform } else { Self::Varying }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Own,
    Partner,
    Any,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Access {
    variable: usize,
    store: bool,
    place: Place,
}

impl std::fmt::Display for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?}", if self.store { "store" } else { "load" }, self.place)
    }
}

type Pending = BTreeSet<Access>;

/// Where control flow leaves a block, with what is pending there; `None`: it does not leave there.
#[derive(Default)]
struct Flow {
    next: Option<Pending>,
    breaks: Option<Pending>,
    continues: Option<Pending>,
    returns: Option<Pending>,
}

impl Flow {
    fn next(pending: Pending) -> Self {
        Self { next: Some(pending), ..Self::default() }
    }

    fn or(self, other: Self) -> Self {
        Self {
            next: either(self.next, other.next),
            breaks: either(self.breaks, other.breaks),
            continues: either(self.continues, other.continues),
            returns: either(self.returns, other.returns),
        }
    }

    fn exits(&mut self) -> impl Iterator<Item = &mut Pending> {
        [&mut self.next, &mut self.breaks, &mut self.continues, &mut self.returns].into_iter().flatten()
    }
}

fn either(a: Option<Pending>, b: Option<Pending>) -> Option<Pending> {
    match (a, b) {
        (Some(a), Some(b)) => Some(&a | &b),
        (a, b) => a.or(b),
    }
}

/// A loop that is being walked.
struct Loop {
    /// The depth of varying control flow inside it.
    varying: usize,
    /// Whether invocations may leave an iteration at different times.
    left_at_odds: bool,
}

/// A function that is being walked.
struct Frame<'a> {
    function: &'a Function,
    arguments: Vec<Value>,
    locals: BTreeMap<usize, Value>,
    loops: Vec<Loop>,
    /// The `half` of the tree step whose guarded block is being walked.
    guard: Option<Handle<LocalVariable>>,
    /// Whether some invocations may have returned while others go on.
    returns_at_odds: bool,
    /// The depth of varying control flow where it was called.
    varying: usize,
}

struct Walk<'a> {
    module: &'a Module,
    /// Variables of which every invocation has written its own element on every way that leads here.
    written: BTreeSet<usize>,
    faults: BTreeSet<String>,
    /// How deep in control flow that differs between invocations.
    varying: usize,
    accesses: usize,
    barriers: usize,
}

/// What the walk of a source met.
#[derive(Debug)]
struct Met {
    accesses: usize,
    barriers: usize,
}

impl<'a> Walk<'a> {
    fn fault(&mut self, frame: &Frame<'_>, fault: &str) {
        let name = frame.function.name.as_deref().unwrap_or("main");
        self.faults.insert(format!("{name}: {fault}"));
    }

    /// Walks a call; returns what is pending at its end.
    fn call(&mut self, function: &'a Function, arguments: Vec<Value>, pending: Pending) -> Pending {
        let mut frame = Frame {
            function,
            arguments,
            locals: BTreeMap::new(),
            loops: Vec::new(),
            guard: None,
            returns_at_odds: false,
            varying: self.varying,
        };
        for (handle, local) in function.local_variables.iter() {
            if let Some(init) = local.init {
                let value = self.value(&frame, init);
                frame.locals.insert(handle.index(), value);
            }
        }
        let flow = self.block(&mut frame, &function.body, pending);
        either(flow.next, flow.returns).unwrap_or_default()
    }

    fn has_barrier(&self, block: &Block) -> bool {
        block.iter().any(|statement| match statement {
            Statement::ControlBarrier(_) => true,
            Statement::Block(block) => self.has_barrier(block),
            Statement::If { accept, reject, .. } => self.has_barrier(accept) || self.has_barrier(reject),
            Statement::Loop { body, continuing, .. } => self.has_barrier(body) || self.has_barrier(continuing),
            Statement::Call { function, .. } => self.has_barrier(&self.module.functions[*function].body),
            _ => false,
        })
    }

    fn block(&mut self, frame: &mut Frame<'a>, block: &'a Block, pending: Pending) -> Flow {
        let mut flow = Flow::next(pending);
        for statement in block {
            let Some(pending) = flow.next.take() else { break };
            flow = flow.or(self.statement(frame, statement, pending));
        }
        flow
    }

    fn statement(&mut self, frame: &mut Frame<'a>, statement: &'a Statement, mut pending: Pending) -> Flow {
        match statement {
            Statement::Emit(range) => {
                for expression in range.clone() {
                    if let Expression::Load { pointer } = frame.function.expressions[expression] {
                        self.access(frame, pointer, false, &mut pending);
                    }
                }
                Flow::next(pending)
            }
            Statement::Store { pointer, value } => {
                self.access(frame, *pointer, true, &mut pending);
                self.store_local(frame, *pointer, *value);
                Flow::next(pending)
            }
            Statement::ControlBarrier(barrier) => {
                self.barriers += 1;
                if self.varying > 0 || frame.returns_at_odds {
                    self.fault(frame, "a barrier that not all invocations may reach together");
                }
                // A storage barrier orders storage buffers, not workgroup memory.
                if barrier.contains(naga::Barrier::WORK_GROUP) {
                    pending.clear();
                }
                Flow::next(pending)
            }
            Statement::Block(block) => self.block(frame, block, pending),
            Statement::If { condition, accept, reject } => self.branch(frame, *condition, accept, reject, pending),
            Statement::Loop { body, continuing, break_if } => self.repeat(frame, body, continuing, *break_if, pending),
            Statement::Break | Statement::Continue => {
                if let Some(inner) = frame.loops.last_mut() {
                    inner.left_at_odds |= self.varying > inner.varying;
                }
                match statement {
                    Statement::Break => Flow { breaks: Some(pending), ..Flow::default() },
                    _ => Flow { continues: Some(pending), ..Flow::default() },
                }
            }
            Statement::Return { .. } => {
                if self.varying > frame.varying {
                    frame.returns_at_odds = true;
                    frame.loops.iter_mut().for_each(|outer| outer.left_at_odds = true);
                }
                Flow { returns: Some(pending), ..Flow::default() }
            }
            Statement::Call { function, arguments, .. } => {
                let called = &self.module.functions[*function];
                if arguments.iter().any(|&argument| root(frame.function, argument).is_some()) {
                    self.fault(frame, "a pointer as an argument, which the walk does not follow");
                }
                let values: Vec<Value> = arguments.iter().map(|&argument| self.value(frame, argument)).collect();
                if called.name.as_deref() == Some(TREE) && !is_tree_call(&values) {
                    self.fault(frame, &format!("{TREE} of {values:?}: not the lane, or not powers of two that fit"));
                }
                let depth = self.varying;
                self.varying += usize::from(frame.returns_at_odds);
                let after = self.call(called, values, pending);
                self.varying = depth;
                // So that it can be called again at once.
                if self.has_barrier(&called.body) && !after.is_empty() {
                    self.fault(frame, "a function with barriers that leaves accesses pending");
                }
                Flow::next(after)
            }
            other => {
                self.fault(frame, &format!("a statement that the walk does not know: {other:?}"));
                Flow::next(pending)
            }
        }
    }

    fn branch(
        &mut self,
        frame: &mut Frame<'a>,
        condition: Handle<Expression>,
        accept: &'a Block,
        reject: &'a Block,
        pending: Pending,
    ) -> Flow {
        let written = self.written.clone();
        if self.value(frame, condition).is_uniform() {
            // All invocations take the same branch.
            let accepted = self.block(frame, accept, pending.clone());
            let by_accepted = std::mem::replace(&mut self.written, written);
            let rejected = self.block(frame, reject, pending);
            self.written = &self.written & &by_accepted;
            return accepted.or(rejected);
        }
        self.varying += 1;
        let outer = frame.guard;
        frame.guard =
            self.tree_guard(frame, condition).filter(|&half| stores_to(frame.function, accept, half).is_empty());
        let mut accepted = self.block(frame, accept, pending.clone());
        frame.guard = outer;
        let mut pending = pending;
        for exit in accepted.exits() {
            *exit = exit.iter().map(|&access| Access { place: access.place.after_the_step(), ..access }).collect();
            pending.extend(exit.iter());
        }
        let rejected = self.block(frame, reject, pending);
        self.varying -= 1;
        self.written = written;
        accepted.or(rejected)
    }

    fn repeat(
        &mut self,
        frame: &mut Frame<'a>,
        body: &'a Block,
        continuing: &'a Block,
        break_if: Option<Handle<Expression>>,
        pending: Pending,
    ) -> Flow {
        let mut head = pending;
        let mut left_at_odds = false;
        // The body may not run at all.
        let written = self.written.clone();
        loop {
            self.written.clone_from(&written);
            let before = (head.clone(), frame.locals.clone(), left_at_odds);
            let depth = self.varying;
            // Where invocations leave at different times, those that stay are among themselves.
            self.varying += usize::from(left_at_odds);
            frame.loops.push(Loop { varying: self.varying, left_at_odds });
            let mut flow = self.block(frame, body, head.clone());
            let mut again = Flow::default();
            if let Some(end) = either(flow.next.take(), flow.continues.take()) {
                again = self.block(frame, continuing, end);
            }
            if let Some(condition) = break_if {
                flow.breaks = either(flow.breaks, again.next.clone());
                left_at_odds |= !self.value(frame, condition).is_uniform();
            }
            left_at_odds |= frame.loops.pop().expect("pushed above").left_at_odds;
            self.varying = depth;
            head.extend(again.next.iter().flatten());
            if before == (head.clone(), frame.locals.clone(), left_at_odds) {
                self.written = written;
                return Flow { next: flow.breaks, returns: flow.returns, ..Flow::default() };
            }
        }
    }

    /// Whether `value >> shift` is a power of two: that constant is one, `shift` is `min(uniform, constant)`, and the
    /// constant leaves 1 at least.
    fn is_shifted_power(&self, frame: &Frame<'_>, value: Handle<Expression>, shift: Handle<Expression>) -> bool {
        let Expression::Math { fun: MathFunction::Min, arg, arg1: Some(most), .. } = frame.function.expressions[shift]
        else {
            return false;
        };
        match (self.value(frame, value), self.value(frame, most)) {
            (Value::Constant(value), Value::Constant(most)) => {
                Value::Constant(value).is_power()
                    && value.checked_shr(most).is_some_and(|least| least > 0)
                    && self.value(frame, arg).is_uniform()
            }
            _ => false,
        }
    }

    /// Notes an access if the pointer is to workgroup memory, and each race with what is pending.
    fn access(&mut self, frame: &Frame<'_>, pointer: Handle<Expression>, store: bool, pending: &mut Pending) {
        let Some((Root::Global(variable), index)) = root(frame.function, pointer) else { return };
        if self.module.global_variables[variable].space != AddressSpace::WorkGroup {
            return;
        }
        self.accesses += 1;
        let place = index.map_or(Place::Any, |index| self.place(frame, index));
        let name = self.module.global_variables[variable].name.as_deref().unwrap_or_default();
        if store && place == Place::Own && self.varying == 0 && !frame.returns_at_odds {
            self.written.insert(variable.index());
        }
        if !store && !self.written.contains(&variable.index()) {
            self.fault(frame, &format!("{name} is read before every invocation has written its own element"));
        }
        let new = Access { variable: variable.index(), store, place };
        // Another invocation makes the same access.
        let same = std::iter::once(new);
        for old in pending.iter().copied().chain(same).filter(|old| old.variable == new.variable) {
            let apart = match (old.place, new.place) {
                (Place::Own, Place::Own) => true,
                (Place::Partner, Place::Own) => !old.store && new.store && frame.guard.is_some(),
                _ => false,
            };
            if (old.store || new.store) && !apart {
                self.fault(frame, &format!("race on {name}: {new} after {old} without a barrier"));
            }
        }
        pending.insert(new);
    }

    fn place(&self, frame: &Frame<'_>, index: Handle<Expression>) -> Place {
        if self.value(frame, index) == Value::Lane {
            return Place::Own;
        }
        match frame.function.expressions[index] {
            Expression::Binary { op: BinaryOperator::Add, left, right }
                if self.value(frame, left) == Value::Lane
                    && frame.guard.is_some()
                    && loaded_local(frame.function, right) == frame.guard =>
            {
                Place::Partner
            }
            _ => Place::Any,
        }
    }

    /// The `half` of a condition `lane % span < half` for which 2 half <= span: all that is ever stored
    /// to `half` is `span / 2` or `half / 2`, and before that it is zero.
    fn tree_guard(&self, frame: &Frame<'_>, condition: Handle<Expression>) -> Option<Handle<LocalVariable>> {
        let expressions = &frame.function.expressions;
        let Expression::Binary { op: BinaryOperator::Less, left, right } = expressions[condition] else { return None };
        let Expression::Binary { op: BinaryOperator::Modulo, left: lane, right: span } = expressions[left] else {
            return None;
        };
        let half = loaded_local(frame.function, right)?;
        let halves = |value: Handle<Expression>| match expressions[value] {
            Expression::Binary { op: BinaryOperator::Divide, left, right } => {
                (left == span || loaded_local(frame.function, left) == Some(half))
                    && literal(self.module, frame.function, right) == Some(2)
            }
            _ => false,
        };
        let stores = stores_to(frame.function, &frame.function.body, half);
        let common = self.value(frame, span).is_uniform() && self.value(frame, right).is_uniform();
        let fits = frame.function.local_variables[half].init.is_none()
            && !stores.is_empty()
            && stores.into_iter().all(|value| value.is_some_and(halves));
        (self.value(frame, lane) == Value::Lane && common && fits).then_some(half)
    }

    fn store_local(&mut self, frame: &mut Frame<'a>, pointer: Handle<Expression>, value: Handle<Expression>) {
        let Some((Root::Local(local), index)) = root(frame.function, pointer) else { return };
        let mut value = self.value(frame, value);
        if let Some(index) = index {
            value = Value::of([value, self.value(frame, index)]);
        }
        if self.varying > 0 {
            value = Value::Varying;
        }
        frame.locals.entry(local.index()).and_modify(|old| *old = old.or(value)).or_insert(value);
    }

    fn value(&self, frame: &Frame<'_>, expression: Handle<Expression>) -> Value {
        let of =
            |operands: &[Handle<Expression>]| Value::of(operands.iter().map(|&operand| self.value(frame, operand)));
        if let Some(constant) = literal(self.module, frame.function, expression) {
            return Value::Constant(constant);
        }
        match frame.function.expressions[expression] {
            Expression::Literal(_) | Expression::Constant(_) | Expression::Override(_) | Expression::ZeroValue(_) => {
                Value::Uniform
            }
            Expression::FunctionArgument(index) => frame.arguments[index as usize],
            Expression::Load { pointer } => match root(frame.function, pointer) {
                Some((Root::Local(local), index)) => {
                    // Read before any store: zero.
                    let whole = frame.locals.get(&local.index()).copied().unwrap_or(Value::Uniform);
                    index.map_or(whole, |index| Value::of([whole, self.value(frame, index)]))
                }
                Some((Root::Global(global), _))
                    if self.module.global_variables[global].space == AddressSpace::Uniform =>
                {
                    self.value(frame, pointer)
                }
                _ => Value::Varying,
            },
            // As a pointer: into the one block of uniforms that all invocations see.
            Expression::GlobalVariable(global)
                if self.module.global_variables[global].space == AddressSpace::Uniform =>
            {
                Value::Uniform
            }
            Expression::Access { base, index } => of(&[base, index]),
            Expression::AccessIndex { base, .. } => of(&[base]),
            Expression::Splat { value, .. } => of(&[value]),
            Expression::Swizzle { vector, .. } => of(&[vector]),
            Expression::Compose { ref components, .. } => of(components),
            Expression::Unary { expr, .. } | Expression::As { expr, .. } => of(&[expr]),
            Expression::Binary { op: BinaryOperator::ShiftRight, left, right }
                if self.is_shifted_power(frame, left, right) =>
            {
                Value::Power
            }
            Expression::Binary { left, right, .. } => of(&[left, right]),
            Expression::Select { condition, accept, reject } => of(&[condition, accept, reject]),
            Expression::Math { arg, arg1, arg2, arg3, .. } => {
                of(&[Some(arg), arg1, arg2, arg3].into_iter().flatten().collect::<Vec<_>>())
            }
            _ => Value::Varying,
        }
    }
}

impl Place {
    /// The next time the step runs, `half` is another.
    fn after_the_step(self) -> Self {
        if self == Self::Partner { Self::Any } else { self }
    }
}

/// The lane itself, and powers of two of which the second is not the larger one.
fn is_tree_call(values: &[Value]) -> bool {
    let &[Value::Lane, span, stride, _] = values else { return false };
    span.is_power() && stride.is_power() && (span == Value::Constant(GROUP) || stride == Value::Constant(1))
}

enum Root {
    Global(Handle<naga::GlobalVariable>),
    Local(Handle<LocalVariable>),
}

/// The variable that a pointer leads into, and the outermost index if it is an expression.
fn root(function: &Function, pointer: Handle<Expression>) -> Option<(Root, Option<Handle<Expression>>)> {
    let (mut at, mut index) = (pointer, None);
    loop {
        match function.expressions[at] {
            Expression::GlobalVariable(variable) => return Some((Root::Global(variable), index)),
            Expression::LocalVariable(variable) => return Some((Root::Local(variable), index)),
            Expression::Access { base, index: inner } => (at, index) = (base, Some(inner)),
            Expression::AccessIndex { base, .. } => (at, index) = (base, None),
            _ => return None,
        }
    }
}

/// The local variable that an expression loads as a whole.
fn loaded_local(function: &Function, expression: Handle<Expression>) -> Option<Handle<LocalVariable>> {
    match function.expressions[expression] {
        Expression::Load { pointer } => match function.expressions[pointer] {
            Expression::LocalVariable(local) => Some(local),
            _ => None,
        },
        _ => None,
    }
}

/// The values stored to a local variable in a block; `None` for a store to a part of it.
fn stores_to(function: &Function, block: &Block, local: Handle<LocalVariable>) -> Vec<Option<Handle<Expression>>> {
    let mut stores = Vec::new();
    for statement in block {
        match statement {
            Statement::Store { pointer, value } => match root(function, *pointer) {
                Some((Root::Local(stored), _)) if stored == local => {
                    let whole = matches!(function.expressions[*pointer], Expression::LocalVariable(_));
                    stores.push(whole.then_some(*value));
                }
                _ => {}
            },
            Statement::Block(inner) => stores.extend(stores_to(function, inner, local)),
            Statement::If { accept: one, reject: two, .. } | Statement::Loop { body: one, continuing: two, .. } => {
                stores.extend(stores_to(function, one, local));
                stores.extend(stores_to(function, two, local));
            }
            _ => {}
        }
    }
    stores
}

/// Each variable of workgroup memory has an element for each invocation: where all have written theirs, nothing is left.
fn check_elements(module: &Module) -> Result<(), String> {
    for (_, variable) in module.global_variables.iter().filter(|(_, v)| v.space == AddressSpace::WorkGroup) {
        let size = match module.types[variable.ty].inner {
            TypeInner::Array { size: naga::ArraySize::Constant(size), .. } => size.get(),
            _ => 0,
        };
        expect(size == GROUP, || format!("{:?} has {size} elements, not {GROUP}", variable.name))?;
    }
    Ok(())
}

/// Walks the tree by itself, twice in a row, and then `main`. Workgroup memory is not cleared, so whatever is read of it must
/// be written before.
fn check_barriers(source: &str) -> Result<Met, String> {
    let (module, _) = parse(source)?;
    let mut walk = Walk {
        module: &module,
        written: BTreeSet::new(),
        faults: BTreeSet::new(),
        varying: 0,
        accesses: 0,
        barriers: 0,
    };
    check_elements(&module)?;

    // The tree is checked where no kernel calls it, too: every source contains it.
    let (_, tree) = module
        .functions
        .iter()
        .find(|(_, function)| function.name.as_deref() == Some(TREE))
        .ok_or_else(|| format!("no function {TREE}"))?;
    let (whole, one) = (Value::Constant(constant(&module, "GROUP")? as u32), Value::Constant(1));
    for (span, stride) in [(whole, one), (whole, Value::Power), (Value::Power, one)] {
        let arguments = vec![Value::Lane, span, stride, Value::Varying];
        expect(tree.arguments.len() == arguments.len(), || format!("{TREE} takes other arguments"))?;
        let mut pending = Pending::new();
        for _ in 0..2 {
            pending = walk.call(tree, arguments.clone(), pending);
        }
        if !pending.is_empty() {
            walk.faults.insert(format!("{TREE}: leaves accesses pending"));
        }
    }

    let main = &module.entry_points[0].function;
    let arguments = main.arguments.iter().map(|argument| match argument.binding {
        Some(naga::Binding::BuiltIn(BuiltIn::LocalInvocationIndex)) => Value::Lane,
        Some(naga::Binding::BuiltIn(BuiltIn::WorkGroupId | BuiltIn::NumWorkGroups)) => Value::Uniform,
        _ => Value::Varying,
    });
    walk.call(main, arguments.collect(), Pending::new());

    if walk.faults.is_empty() {
        Ok(Met { accesses: walk.accesses, barriers: walk.barriers })
    } else {
        Err(walk.faults.into_iter().collect::<Vec<_>>().join("\n"))
    }
}

/// There is one tree: nothing else touches its memory.
fn check_one_tree(source: &str) -> Result<(), String> {
    let (module, _) = parse(source)?;
    let main = module.entry_points.iter().map(|entry| &entry.function);
    let functions = module.functions.iter().map(|(_, function)| function);
    let users: Vec<_> = functions
        .chain(main)
        .filter(|function| {
            function.expressions.iter().any(|(_, expression)| match *expression {
                Expression::GlobalVariable(variable) => {
                    module.global_variables[variable].name.as_deref() == Some("scratch")
                }
                _ => false,
            })
        })
        .map(|function| function.name.as_deref().unwrap_or("main"))
        .collect();
    expect(users == [TREE], || format!("users of the tree's memory: {users:?}"))
}

#[test]
fn barriers_suffice() {
    for (kernel, source) in sources() {
        let met = check_barriers(source).unwrap_or_else(|error| panic!("{kernel:?}:\n{error}"));
        // The tree alone stores twice and loads three times, and has three barriers.
        assert!(met.accesses >= 5 && met.barriers >= 3, "{kernel:?}: the walk saw only {met:?}");
        check_one_tree(source).unwrap_or_else(|error| panic!("{kernel:?}: {error}"));
    }
}

#[test]
fn a_missing_barrier_is_noticed() {
    let (mut checked, mut superfluous) = (0, Vec::new());
    for (kernel, source) in sources() {
        for (place, (at, _)) in source.match_indices(BARRIER).enumerate() {
            let text = format!("{}{}", &source[..at], &source[at + BARRIER.len()..]);
            match check_barriers(&text) {
                Ok(_) => superfluous.push((kernel.name(), place)),
                Err(error) => {
                    assert!(error.contains("race"), "{kernel:?} without barrier {place}: another fault: {error}");
                }
            }
            checked += 1;
        }
    }
    assert!(checked > 0);
    assert_eq!(checked, SOURCES.iter().map(|source| source.matches("workgroupBarrier").count()).sum::<usize>());
    assert!(superfluous.is_empty(), "barriers whose absence goes unnoticed: {superfluous:?}");
}

#[test]
fn a_misplaced_barrier_or_a_wider_step_is_noticed() {
    let evaluate = SOURCES[Kernel::Evaluate as usize];
    let step = "if (place < half) {\n            scratch[lane] = scratch[lane] + scratch[lane + half];\n        }";
    let faults = [
        ("place < half", "place <= half", "race"),
        ("place < half", "lane < half", "race"),
        ("place < half", "true", "race"),
        ("place = lane % span", "place = lane % stride", "race"),
        ("scratch[lane + half]", "scratch[lane + half + 1u]", "race"),
        ("scratch[lane + half]", "scratch[lane + span / 2u]", "race"),
        ("var half = span / 2u", "var half = span", "race"),
        ("half = half / 2u", "half = half - 1u", "race"),
        ("scratch[lane] = scratch[lane] +", "scratch[lane - place] = scratch[lane] +", "race"),
        ("    scratch[lane] = value;", "    scratch[lane / 2u] = value;", "race"),
        ("tile_residuals[lane] = residual;", "tile_residuals[row_lane] = residual;", "race"),
        ("tile_residuals[lane] = residual;", "if (first_lane) { tile_residuals[lane] = residual; }", "is read before"),
        ("    scratch[lane] = value;", "    if (lane < span) { scratch[lane] = value; }", "is read before"),
        ("tile_residuals: array<vec4<f32>, GROUP>", "tile_residuals: array<vec4<f32>, TILE>", "1024 elements"),
        (
            "tile_residuals[lane] = residual;",
            "tile_residuals[lane ^ 1u] = residual;\n            tile_residuals[lane] = residual;",
            "race",
        ),
        // The tree of the next tile is what parts its residuals from the reads of these.
        (
            "u = tree_sum(lane, GROUP, row_lanes, u +",
            "if (pass_.reads_direction == 1u) { u = tree_sum(lane, GROUP, row_lanes, u); }\n            u = (u +",
            "race",
        ),
        // A step that runs twice between two barriers, and a barrier of the wrong memory.
        (step, &format!("{step}\n        {step}"), "race"),
        (
            "let sum = scratch[lane - place + lane % stride];\n    workgroupBarrier",
            "let sum = scratch[lane - place + lane % stride];\n    storageBarrier",
            "race",
        ),
        // Barriers that some invocations miss.
        (
            "scratch[lane] = value;\n    workgroupBarrier();",
            "scratch[lane] = value;\n    if (lane < 4u) { workgroupBarrier(); }",
            "reach together",
        ),
        ("var z = vec4(0.0);", "if (row >= last_row) { break; }\n            var z = vec4(0.0);", "reach together"),
        ("var z = vec4(0.0);", "if (row >= last_row) { continue; }\n            var z = vec4(0.0);", "reach together"),
        ("var z = vec4(0.0);", "if (row >= last_row) { return; }\n            var z = vec4(0.0);", "reach together"),
        ("for (var tile = part;", "for (var tile = part + lane;", "reach together"),
        ("for (var end = last_panel;", "for (var end = held;", "reach together"),
        ("tree_sum(lane, row_lanes, 1u, gradient)", "tree_sum(lane, 24u, 1u, gradient)", "powers of two"),
        ("tree_sum(lane, row_lanes, 1u, gradient)", "tree_sum(lane, row_lanes, 2u, gradient)", "powers of two"),
        ("tree_sum(lane, row_lanes, 1u, gradient)", "tree_sum(lane ^ 1u, row_lanes, 1u, gradient)", "not the lane"),
        ("tree_sum(lane, row_lanes, 1u, gradient)", "tree_sum(lane, min(lane, 8u), 1u, gradient)", "reach together"),
        ("tree_sum(lane, GROUP, row_lanes,", "tree_sum(lane, GROUP, tile_rows / 4u,", "powers of two"),
        ("COLUMN_LEVELS: u32 = 7u", "COLUMN_LEVELS: u32 = 9u", "powers of two"),
        ("let row_lanes = GROUP", "let row_lanes = TILE", "powers of two"),
    ];
    for (from, to, word) in faults {
        assert_refused(check_barriers(&edit(evaluate, from, to)), &format!("{from:?} made {to:?}"), word);
    }
    let hessian = SOURCES[Kernel::Hessian as usize];
    let faults = [
        ("left[lane] = vec4(0.0)", "left[lane / 2u] = vec4(0.0)", "race"),
        ("            left[lane] = vec4(0.0);\n", "", "is read before"),
        ("            right[lane] = vec4(0.0);\n", "", "is read before"),
        ("right[lane] = vec4(0.0)", "right[lane ^ 1u] = vec4(0.0)", "race"),
        ("var step_row = part_row;", "var step_row = part_row + 4u * load_rows;", "reach together"),
        ("let part_end = min(", "let part_end = lane + min(", "reach together"),
    ];
    for (from, to, word) in faults {
        assert_refused(check_barriers(&edit(hessian, from, to)), &format!("{from:?} made {to:?}"), word);
    }
    for kernel in [Kernel::Gram, Kernel::ClassSums] {
        let source = SOURCES[kernel as usize];
        let lane_rows = if kernel == Kernel::Gram { "load_rows" } else { "in_eight" };
        let part_row = format!("var step_row = part_row + 4u * {lane_rows};");
        for (from, to, word) in [
            ("right[lane] = vec4(0.0)", "right[lane ^ 1u] = vec4(0.0)", "race"),
            ("var step_row = part_row;", &part_row, "reach together"),
            ("let part_end = min(", "let part_end = lane + min(", "reach together"),
        ] {
            assert_refused(check_barriers(&edit(source, from, to)), &format!("{kernel:?}: {from:?} made {to:?}"), word);
        }
    }
    let gram = edit(SOURCES[Kernel::Gram as usize], "left[lane] = vec4(0.0)", "left[lane / 2u] = vec4(0.0)");
    assert_refused(check_barriers(&gram), "the left side of gram stored elsewhere", "race");
    let class_sums = SOURCES[Kernel::ClassSums as usize];
    let faults = [
        ("tree_sum(lane, EIGHT, 1u, low)", "tree_sum(lane, 12u, 1u, low)", "powers of two"),
        ("tree_sum(lane, EIGHT, 1u, high)", "tree_sum(lane ^ 1u, EIGHT, 1u, high)", "not the lane"),
        ("    low = tree_sum", "    if (column > pass_.features) { return; }\n    low = tree_sum", "reach together"),
    ];
    for (from, to, word) in faults {
        assert_refused(check_barriers(&edit(class_sums, from, to)), &format!("{from:?} made {to:?}"), word);
    }
    let terms = SOURCES[Kernel::SoftmaxTerms as usize];
    let faults = [
        (
            "    let losses = tree_sum(",
            "    if (first_row + lane >= last_row) { return; }\n    let losses = tree_sum(",
            "reach together",
        ),
        ("let slopes = tree_sum(lane, GROUP, 1u,", "let slopes = tree_sum(lane ^ 1u, GROUP, 1u,", "not the lane"),
    ];
    for (from, to, word) in faults {
        assert_refused(check_barriers(&edit(terms, from, to)), &format!("{from:?} made {to:?}"), word);
    }
    let checksum = SOURCES[Kernel::Checksum as usize];
    let faults = [
        ("parts[lane] = (", "parts[lane / 2u] = (", "race"),
        ("    parts[lane] = (", "    if (last_row == lane) { return; }\n    parts[lane] = (", "reach together"),
    ];
    for (from, to, word) in faults {
        assert_refused(check_barriers(&edit(checksum, from, to)), &format!("{from:?} made {to:?}"), word);
    }
    let second = edit(evaluate, "tile_residuals[lane] = residual;", "tile_residuals[lane] = residual + scratch[lane];");
    assert_refused(check_one_tree(&second), "a second user of the tree's memory", "users");
}
