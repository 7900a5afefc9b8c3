//! Faults of Rust: in the bodies of functions that are no tests, and outside of macros, patterns and constants.

use std::ops::Range;

use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{BinOp, Block, Expr, ImplItemFn, ItemFn, ItemMod, Lit, Pat, ReturnType, Signature, Stmt, Type, UnOp};

use crate::Fault;

/// All faults that a file can have.
pub(crate) fn faults(file: &str, text: &str) -> Result<Vec<Fault>, String> {
    let parsed = syn::parse_file(text).map_err(|cause| format!("{file}: {cause}"))?;
    let mut finder = Finder { file, text, found: Vec::new() };
    finder.visit_file(&parsed);
    Ok(finder.found)
}

struct Finder<'t> {
    file: &'t str,
    text: &'t str,
    found: Vec<Fault>,
}

/// What stands in for an operator, with the name of the fault.
fn other(op: &BinOp) -> Option<(&'static str, &'static str)> {
    Some(match op {
        BinOp::Lt(_) => ("<=", "< to <="),
        BinOp::Le(_) => ("<", "<= to <"),
        BinOp::Gt(_) => (">=", "> to >="),
        BinOp::Ge(_) => (">", ">= to >"),
        BinOp::Eq(_) => ("!=", "== to !="),
        BinOp::Ne(_) => ("==", "!= to =="),
        BinOp::Add(_) => ("-", "+ to -"),
        BinOp::Sub(_) => ("+", "- to +"),
        BinOp::Mul(_) => ("/", "* to /"),
        BinOp::Div(_) => ("*", "/ to *"),
        BinOp::Rem(_) => ("/", "% to /"),
        BinOp::And(_) => ("||", "&& to ||"),
        BinOp::Or(_) => ("&&", "|| to &&"),
        BinOp::AddAssign(_) => ("-=", "+= to -="),
        BinOp::SubAssign(_) => ("+=", "-= to +="),
        BinOp::MulAssign(_) => ("/=", "*= to /="),
        BinOp::DivAssign(_) => ("*=", "/= to *="),
        _ => return None,
    })
}

/// What stands in for a method, with the name of the fault.
fn other_method(name: &str) -> Option<(&'static str, &'static str)> {
    Some(match name {
        "min" => ("max", "min to max"),
        "max" => ("min", "max to min"),
        "is_some" => ("is_none", "condition negated"),
        "is_none" => ("is_some", "condition negated"),
        "first" => ("last", "first to last"),
        "last" => ("first", "last to first"),
        "floor" => ("ceil", "floor to ceil"),
        "ceil" => ("floor", "ceil to floor"),
        "any" => ("all", "any to all"),
        "all" => ("any", "all to any"),
        _ => return None,
    })
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let path = attribute.path();
        path.is_ident("test")
            || path.is_ident("cfg") && attribute.parse_args::<syn::Ident>().is_ok_and(|condition| condition == "test")
    })
}

/// Whether a condition binds names, which no other expression may hold.
fn binds(expression: &Expr) -> bool {
    struct Looks(bool);
    impl Visit<'_> for Looks {
        fn visit_expr_let(&mut self, _: &syn::ExprLet) {
            self.0 = true;
        }
    }
    let mut looks = Looks(false);
    looks.visit_expr(expression);
    looks.0
}

impl Finder<'_> {
    fn text_of(&self, spanned: &impl Spanned) -> &str {
        &self.text[spanned.span().byte_range()]
    }

    fn add(&mut self, range: Range<usize>, text: String, what: &str) {
        let line = self.text[..range.start].matches('\n').count() + 1;
        // The condition takes the place of this character.
        if text.matches('@').count() == 1 {
            self.found.push(Fault { file: self.file.into(), line, range, text, what: what.into() });
        }
    }

    /// Chooses between an expression and another one in its place.
    fn choose(&mut self, expression: &impl Spanned, other: &str, what: &str) {
        let own = self.text_of(expression).to_owned();
        self.add(expression.span().byte_range(), format!("(if @ {{ {other} }} else {{ {own} }})"), what);
    }

    /// A body that ends before it begins, where nothing comes of it.
    fn ends_early(&mut self, signature: &Signature, block: &Block) {
        let early = match &signature.output {
            ReturnType::Default => "return;",
            ReturnType::Type(_, ty) if self.text_of(&**ty) == "Result<()>" => "return Ok(());",
            ReturnType::Type(..) => return,
        };
        let at = block.brace_token.span.open().byte_range().end;
        self.add(at..at, format!(" if @ {{ {early} }}"), "ends early");
    }

    fn body(&mut self, attributes: &[syn::Attribute], signature: &Signature, block: &Block) {
        // What a constant is made of can not look at the environment.
        if is_test(attributes) || signature.constness.is_some() {
            return;
        }
        self.ends_early(signature, block);
        self.visit_block(block);
    }
}

impl<'a> Visit<'a> for Finder<'_> {
    fn visit_item_mod(&mut self, item: &'a ItemMod) {
        if !is_test(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'a ItemFn) {
        self.body(&item.attrs, &item.sig, &item.block);
    }

    fn visit_impl_item_fn(&mut self, item: &'a ImplItemFn) {
        self.body(&item.attrs, &item.sig, &item.block);
    }

    // Outside of bodies, and where only constants may stand.
    fn visit_item_const(&mut self, _: &'a syn::ItemConst) {}
    fn visit_item_static(&mut self, _: &'a syn::ItemStatic) {}
    fn visit_impl_item_const(&mut self, _: &'a syn::ImplItemConst) {}
    fn visit_type(&mut self, _: &'a Type) {}
    fn visit_pat(&mut self, _: &'a Pat) {}
    fn visit_attribute(&mut self, _: &'a syn::Attribute) {}
    fn visit_generic_argument(&mut self, _: &'a syn::GenericArgument) {}
    fn visit_item_enum(&mut self, _: &'a syn::ItemEnum) {}

    fn visit_expr_repeat(&mut self, repeat: &'a syn::ExprRepeat) {
        self.visit_expr(&repeat.expr);
    }

    fn visit_stmt(&mut self, statement: &'a Stmt) {
        if let Stmt::Expr(expression, Some(_)) = statement {
            let does = match expression {
                Expr::MethodCall(_) | Expr::Call(_) | Expr::Assign(_) | Expr::Try(_) => true,
                Expr::Binary(binary) => other(&binary.op).is_some_and(|(op, _)| op.ends_with('=')),
                _ => false,
            };
            if does {
                let own = self.text_of(statement).to_owned();
                self.add(statement.span().byte_range(), format!("if !@ {{ {own} }}"), "statement dropped");
            }
        }
        visit::visit_stmt(self, statement);
    }

    fn visit_expr_binary(&mut self, binary: &'a syn::ExprBinary) {
        if let Some((op, what)) = other(&binary.op)
            && !binds(&binary.left)
            && !binds(&binary.right)
        {
            let [left, right] = [&binary.left, &binary.right].map(|side| self.text_of(side).to_owned());
            self.choose(binary, &format!("{left} {op} {right}"), what);
        }
        visit::visit_expr_binary(self, binary);
    }

    fn visit_expr_unary(&mut self, unary: &'a syn::ExprUnary) {
        let what = match unary.op {
            UnOp::Neg(_) => "minus dropped",
            UnOp::Not(_) => "negation dropped",
            _ => "",
        };
        if !what.is_empty() {
            let inner = self.text_of(&unary.expr).to_owned();
            self.choose(unary, &inner, what);
        }
        visit::visit_expr_unary(self, unary);
    }

    fn visit_expr_if(&mut self, condition: &'a syn::ExprIf) {
        if !binds(&condition.cond) {
            let own = self.text_of(&condition.cond).to_owned();
            self.choose(&condition.cond, &format!("!({own})"), "condition negated");
        }
        visit::visit_expr_if(self, condition);
    }

    fn visit_expr_lit(&mut self, literal: &'a syn::ExprLit) {
        let own = self.text_of(literal).to_owned();
        match &literal.lit {
            Lit::Float(number) if number.base10_parse::<f64>().is_ok_and(|number| number != 0.0) => {
                self.choose(literal, &format!("2.0 * {own}"), "constant times 2");
                self.choose(literal, "0.0", "constant to 0");
            }
            Lit::Int(_) => self.choose(literal, &format!("{own} + 1"), "off by one"),
            _ => {}
        }
    }

    fn visit_expr_path(&mut self, path: &'a syn::ExprPath) {
        let Some(name) = path.path.segments.last().map(|segment| segment.ident.to_string()) else { return };
        let is_constant = name.len() > 2 && name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
        if is_constant {
            self.choose(path, &format!("crate::mutants::twice({name})"), "constant times 2");
            self.choose(path, &format!("crate::mutants::none({name})"), "constant to 0");
        }
    }

    fn visit_expr_index(&mut self, index: &'a syn::ExprIndex) {
        let own = self.text_of(&index.index).to_owned();
        if !matches!(*index.index, Expr::Range(_)) {
            self.choose(&index.index, &format!("{own} + 1"), "index off by one");
        }
        visit::visit_expr_index(self, index);
    }

    fn visit_expr_range(&mut self, range: &'a syn::ExprRange) {
        if let (Some(end), syn::RangeLimits::HalfOpen(_)) = (&range.end, &range.limits) {
            let own = self.text_of(end).to_owned();
            self.choose(end, &format!("({own}) - 1"), "range one short");
        }
        visit::visit_expr_range(self, range);
    }

    fn visit_expr_method_call(&mut self, call: &'a syn::ExprMethodCall) {
        let name = call.method.to_string();
        if let Some((method, what)) = other_method(&name) {
            let span = call.method.span().byte_range();
            let all = call.span().byte_range();
            let (before, after) = (&self.text[all.start..span.start], &self.text[span.end..all.end]);
            let changed = format!("{before}{method}{after}");
            self.choose(call, &changed, what);
        }
        self.swapped(call, call.args.iter());
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_call(&mut self, call: &'a syn::ExprCall) {
        self.swapped(call, call.args.iter());
        visit::visit_expr_call(self, call);
    }
}

impl Finder<'_> {
    /// The first two arguments of a call, each in the place of the other.
    fn swapped(&mut self, call: &impl Spanned, mut arguments: syn::punctuated::Iter<Expr>) {
        let (Some(first), Some(second)) = (arguments.next(), arguments.next()) else { return };
        let (all, first, second) = (call.span().byte_range(), first.span().byte_range(), second.span().byte_range());
        if self.text[first.clone()] == self.text[second.clone()] {
            return;
        }
        let changed = format!(
            "{}{}{}{}{}",
            &self.text[all.start..first.start],
            &self.text[second.clone()],
            &self.text[first.end..second.start],
            &self.text[first.clone()],
            &self.text[second.end..all.end]
        );
        self.choose(call, &changed, "arguments swapped");
    }
}
