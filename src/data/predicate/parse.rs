//! From tokens to an expression, and what is wrong with a text that is none.

use super::expr::{Column, Expr, Literal, Op, Value};
use super::placed;
use super::token::{Keyword, Kind, OPERATORS, QUOTED_NAMES, Token, name_in_text, tokens};
use crate::error::{Error, Result};

/// Parentheses and `not` within each other at most: each takes a frame of the stack.
const MAX_DEPTH: usize = 100;

const VALUES: &str = "Values are numbers, 'text' in single quotes, true and false.";

/// Parses an expression; what is wrong with it is a usage error with a caret under the place.
pub(super) fn parse(text: &str) -> Result<Expr> {
    let tokens = tokens(text)?;
    if tokens.len() == 1 {
        return Err(Error::usage("⟦where⟧ is empty", "Give a condition, for example: ⟦where⟧ \"age >= 18\""));
    }
    let mut parser = Parser { text, tokens, at: 0, depth: 0 };
    let root = parser.any()?;
    if parser.peek().kind != Kind::End {
        return Err(parser.left_over("the end"));
    }
    Ok(root)
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> &Token {
        &self.tokens[self.at]
    }

    fn take(&mut self, kind: &Kind) -> bool {
        let found = self.peek().kind == *kind;
        self.at += usize::from(found);
        found
    }

    fn take_keyword(&mut self, keyword: Keyword) -> bool {
        self.take(&Kind::Keyword(keyword))
    }

    fn shown(&self, token: &Token) -> String {
        self.text.chars().skip(token.span.start).take(token.span.len()).collect()
    }

    /// The place of the next token.
    fn place(&self) -> usize {
        self.peek().span.start
    }

    fn refuse(&self, at: usize, fact: &str, way_out: impl Into<String>) -> Error {
        Error::usage(placed(self.text, at, fact), way_out)
    }

    /// `what` should have come in place of the next token.
    fn expected(&self, what: &str, way_out: impl Into<String>) -> Error {
        let after = match self.at.checked_sub(1) {
            Some(before) => format!(" after `{}`", self.shown(&self.tokens[before])),
            None => String::new(),
        };
        self.refuse(self.place(), &format!("{what} is expected{after}"), way_out)
    }

    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let fact = format!("more than {MAX_DEPTH} parentheses and `not` within each other");
            return Err(self.refuse(self.place(), &fact, "Write it flatter; `and` and `or` take any number of parts."));
        }
        let result = parse(self);
        self.depth -= 1;
        result
    }

    fn any(&mut self) -> Result<Expr> {
        self.series(Keyword::Or, Expr::Any, |parser| parser.series(Keyword::And, Expr::All, Self::one))
    }

    /// Parts with `keyword` in between; one alone stands for itself.
    fn series(
        &mut self,
        keyword: Keyword,
        join: impl Fn(Vec<Expr>) -> Expr,
        part: impl Fn(&mut Self) -> Result<Expr>,
    ) -> Result<Expr> {
        let first = part(self)?;
        if self.peek().kind != Kind::Keyword(keyword) {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.take_keyword(keyword) {
            parts.push(part(self)?);
        }
        Ok(join(parts))
    }

    fn one(&mut self) -> Result<Expr> {
        let Token { kind, span } = self.peek().clone();
        match kind {
            Kind::Keyword(Keyword::Not) => {
                self.at += 1;
                Ok(Expr::Not(Box::new(self.deeper(Self::one)?)))
            }
            Kind::Open => {
                self.at += 1;
                let inner = self.deeper(Self::any)?;
                if self.take(&Kind::Close) {
                    return Ok(inner);
                }
                if self.peek().kind == Kind::End {
                    return Err(self.refuse(span.start, "this parenthesis is not closed", "Add the `)`."));
                }
                Err(self.left_over("`)`"))
            }
            Kind::Column(name) => {
                self.at += 1;
                self.about(Column { name, at: span.start })
            }
            Kind::Literal(literal) => {
                let value = Value { literal, shown: self.shown(self.peek()), at: span.start };
                self.at += 1;
                self.reversed(value)
            }
            _ => {
                Err(self.expected("a condition", "A condition is a comparison, as in age >= 18, or a boolean column."))
            }
        }
    }

    /// What is said about a column that was just taken.
    fn about(&mut self, column: Column) -> Result<Expr> {
        if let Kind::Op(op) = self.peek().kind {
            self.at += 1;
            let value = match &self.peek().kind {
                Kind::Column(other) => {
                    return Err(self.refuse(
                        self.place(),
                        &format!("two columns are compared, `{}` and `{other}`", column.name),
                        format!("One side must be a value. Text stands in single quotes: '{other}'"),
                    ));
                }
                Kind::Keyword(Keyword::Null) => {
                    let is = if op == Op::Different { "is not null" } else { "is null" };
                    return Err(self.refuse(
                        self.place(),
                        &format!("`{}` cannot find a null", op.sign()),
                        format!("Write: {} {is}", name_in_text(&column.name)),
                    ));
                }
                _ => self.value()?,
            };
            self.no_chain()?;
            return Ok(Expr::Compare(column, op, value));
        }
        if self.take_keyword(Keyword::Is) {
            let negated = self.take_keyword(Keyword::Not);
            if !self.take_keyword(Keyword::Null) {
                let what = if negated { "`null`" } else { "`null` or `not null`" };
                return Err(self.expected(what, "For true and false, compare: churned = true"));
            }
            return Ok(negate(negated, Expr::IsNull(column)));
        }
        let negated = self.take_keyword(Keyword::Not);
        if self.take_keyword(Keyword::In) {
            if !self.take(&Kind::Open) {
                return Err(self.expected("`(`", "For example: country in ('DE', 'AT')"));
            }
            let mut values = Vec::new();
            loop {
                values.push(self.value()?);
                if self.take(&Kind::Close) {
                    return Ok(negate(negated, Expr::In(column, values)));
                }
                if !self.take(&Kind::Comma) {
                    return Err(self.expected("`,` or `)`", "For example: country in ('DE', 'AT')"));
                }
            }
        }
        if self.take_keyword(Keyword::Between) {
            let low = self.value()?;
            if !self.take_keyword(Keyword::And) {
                return Err(self.expected("`and`", "For example: age between 18 and 65"));
            }
            let high = self.value()?;
            self.no_chain()?;
            let parts =
                vec![Expr::Compare(column.clone(), Op::GreaterEqual, low), Expr::Compare(column, Op::LessEqual, high)];
            return Ok(negate(negated, Expr::All(parts)));
        }
        if negated {
            return Err(self.expected("`in` or `between`", OPERATORS));
        }
        Ok(Expr::Flag(column))
    }

    /// A comparison that begins with its value, which was just taken.
    fn reversed(&mut self, value: Value) -> Result<Expr> {
        let Kind::Op(op) = self.peek().kind else {
            return Err(self.refuse(
                value.at,
                &format!("{} alone is no condition", value.shown),
                "Compare it with a column; a column whose name looks like a value stands in double quotes.",
            ));
        };
        self.at += 1;
        let Token { kind, span } = self.peek().clone();
        let name = match kind {
            Kind::Column(name) => name,
            Kind::Literal(_) => {
                let fact = format!("two values are compared, {} and {}", value.shown, self.shown(self.peek()));
                return Err(self.refuse(
                    span.start,
                    &fact,
                    "One side must be a column; a name that looks like a value stands in double quotes.",
                ));
            }
            _ => return Err(self.expected("a column", QUOTED_NAMES)),
        };
        self.at += 1;
        self.no_chain()?;
        Ok(Expr::Compare(Column { name, at: span.start }, op.flipped(), value))
    }

    fn value(&mut self) -> Result<Value> {
        let Token { kind, span } = self.peek().clone();
        match kind {
            Kind::Literal(literal) => {
                let shown = self.shown(self.peek());
                self.at += 1;
                Ok(Value { literal, shown, at: span.start })
            }
            Kind::Column(name) => Err(self.expected("a value", format!("Text stands in single quotes: '{name}'"))),
            Kind::Keyword(Keyword::Null) => {
                Err(self.expected("a value", "Nothing is equal to a null; add: or COLUMN is null"))
            }
            _ => Err(self.expected("a value", VALUES)),
        }
    }

    /// An error if a comparison goes on, as in `a < b < c`.
    fn no_chain(&self) -> Result<()> {
        let Kind::Op(op) = self.peek().kind else { return Ok(()) };
        Err(self.refuse(
            self.place(),
            &format!("a comparison ends before this `{}`", op.sign()),
            "Write two with `and` in between: 18 <= age and age < 65",
        ))
    }

    /// Something follows what could have been the whole, where `closing` would have been right too.
    fn left_over(&self, closing: &str) -> Error {
        let kind_before = self.at.checked_sub(1).map(|before| &self.tokens[before].kind);
        match (kind_before, &self.peek().kind) {
            (_, Kind::Close) => self.refuse(self.place(), "this parenthesis closes nothing", "Leave it out."),
            (Some(Kind::Column(_)), Kind::Column(_) | Kind::Literal(_)) => self.expected("an operator", OPERATORS),
            (Some(Kind::Literal(Literal::Number(_))), Kind::Literal(Literal::Number(_))) => self.expected(
                &format!("`and`, `or` or {closing}"),
                "There is no arithmetic. A date stands in single quotes: '2024-01-31'",
            ),
            (_, Kind::Op(op)) => self.refuse(
                self.place(),
                &format!("a condition ends before this `{}`", op.sign()),
                "Only columns and values are compared, not conditions.",
            ),
            _ => self.expected(&format!("`and`, `or` or {closing}"), ""),
        }
    }
}

fn negate(negated: bool, expr: Expr) -> Expr {
    if negated { Expr::Not(Box::new(expr)) } else { expr }
}

#[cfg(test)]
mod tests {
    use arrow::array::Int64Array;

    use super::super::Predicate;
    use super::super::testing::{assert_refused, assert_selects, column};
    use super::*;
    use crate::error::Kind;

    #[test]
    fn what_is_wrong_with_an_expression_is_said_at_its_place() {
        let cases: &[(&str, usize, &str, &str)] = &[
            ("age >= and x", 7, "a value is expected after `>=`", "'text' in single quotes"),
            ("age >=", 6, "a value is expected after `>=`", "Values are"),
            ("größe = 'a' or", 14, "a condition is expected after `or`", "age >= 18"),
            ("größe = 'ä' ö", 12, "`and`, `or` or the end is expected after `'ä'`", ""),
            ("a and", 5, "a condition is expected after `and`", "boolean column"),
            ("and a", 0, "a condition is expected", "boolean column"),
            ("()", 1, "a condition is expected after `(`", "boolean column"),
            ("not", 3, "a condition is expected after `not`", "boolean column"),
            ("a = 'it''s", 4, "this text has no closing '", "doubled: ''"),
            ("\"a = 1", 0, "this name has no closing \"", "doubled"),
            ("a or (b and (c or d)", 5, "this parenthesis is not closed", "Add the `)`"),
            ("a = 1)", 5, "this parenthesis closes nothing", "Leave it out"),
            ("(a b)", 3, "an operator is expected after `a`", "The operators are"),
            ("(a = 1 b)", 7, "`and`, `or` or `)` is expected after `1`", ""),
            ("name like 'x%'", 5, "an operator is expected after `name`", "between ... and"),
            ("age 18", 4, "an operator is expected after `age`", "The operators are"),
            ("age-1 > 0", 3, "an operator is expected after `age`", "no arithmetic"),
            ("age - 1 > 0", 4, "`-` has no meaning here", "\"net-income\""),
            ("day > 2024-01-31", 10, "`and`, `or` or the end is expected after `2024`", "'2024-01-31'"),
            ("a =< 1", 2, "`=<` is no operator", "Did you mean `<=`?"),
            ("a => 1", 2, "`=>` is no operator", "Did you mean `>=`?"),
            ("a === 1", 2, "`===` is no operator", "Did you mean `=`?"),
            ("a =! 1", 2, "`=!` is no operator", "Did you mean `!=`?"),
            ("a && b", 2, "`&&` is no operator", "Did you mean `and`?"),
            ("a || b", 2, "`||` is no operator", "Did you mean `or`?"),
            ("!a", 0, "`!` is no operator", "Did you mean `not`?"),
            ("a ~ 'x'", 2, "`~` is no operator", "The operators are"),
            ("a < b < c", 4, "two columns are compared, `a` and `b`", "single quotes: 'b'"),
            ("18 <= age < 65", 10, "a comparison ends before this `<`", "18 <= age and age < 65"),
            ("a < 1 < 2", 6, "a comparison ends before this `<`", "`and` in between"),
            ("a between 1 and 2 = b", 18, "a comparison ends before this `=`", "`and` in between"),
            ("(a) = 1", 4, "a condition ends before this `=`", "not conditions"),
            ("a is null = true", 10, "a condition ends before this `=`", "not conditions"),
            ("1 = 1", 4, "two values are compared, 1 and 1", "One side must be a column"),
            ("1 = (a)", 4, "a column is expected after `=`", "double quotes"),
            ("true", 0, "true alone is no condition", "Compare it with a column"),
            ("'a' in (b)", 0, "'a' alone is no condition", "Compare it with a column"),
            ("a = null", 4, "`=` cannot find a null", "Write: a is null"),
            ("\"a b\" != null", 9, "`!=` cannot find a null", "Write: \"a b\" is not null"),
            ("a is 3", 5, "`null` or `not null` is expected after `is`", "churned = true"),
            ("a is not true", 9, "`null` is expected after `not`", "churned = true"),
            ("a not 3", 6, "`in` or `between` is expected after `not`", "The operators are"),
            ("a in 'x'", 5, "`(` is expected after `in`", "country in ('DE', 'AT')"),
            ("a in ()", 6, "a value is expected after `(`", "Values are"),
            ("a in (1, )", 9, "a value is expected after `,`", "Values are"),
            ("a in (1 2)", 8, "`,` or `)` is expected after `1`", "country in"),
            ("a in (1", 7, "`,` or `)` is expected after `1`", "country in"),
            ("a in (1, null)", 9, "a value is expected after `,`", "COLUMN is null"),
            ("a in (b)", 6, "a value is expected after `(`", "single quotes: 'b'"),
            ("a between 1", 11, "`and` is expected after `1`", "between 18 and 65"),
            ("a between 1 or 2", 12, "`and` is expected after `1`", "between 18 and 65"),
            ("12abc > 1", 0, "`12abc` is no number", "begins with a digit"),
            ("a > 1.2.3", 4, "`1.2.3` is no number", "single quotes"),
            ("a > 1e", 4, "`1e` is no number", "single quotes"),
            ("a > 1_000", 4, "`1_000` is no number", "single quotes"),
            ("a > $1", 4, "`$` has no meaning here", "no arithmetic"),
        ];
        for (text, caret, fact, way_out) in cases {
            assert_refused(Predicate::parse(text), Kind::Usage, text, *caret, fact, way_out);
        }
        for text in ["", " \t\n"] {
            assert_eq!(Predicate::parse(text).expect_err("nothing").fact, "⟦where⟧ is empty");
        }
        // A text of several lines is shown in one.
        let parsed = Predicate::parse("a = 1\n\tand b >");
        assert_refused(parsed, Kind::Usage, "a = 1  and b >", 14, "a value is expected after `>`", "");
    }

    #[test]
    fn deep_nesting_is_refused_and_long_series_are_not() {
        let nested = |depth: usize| format!("{}a{}", "not (".repeat(depth), ")".repeat(depth));
        assert!(Predicate::parse(&nested(MAX_DEPTH / 2)).is_ok());
        assert!(Predicate::parse(&nested(MAX_DEPTH / 2 + 1)).is_err());
        let error = Predicate::parse(&nested(100_000)).expect_err("too deep");
        assert!(error.fact.starts_with("⟦where⟧: more than 100 parentheses"), "{}", error.fact);
        let error = Predicate::parse(&format!("{}a", "not ".repeat(100_000))).expect_err("too deep");
        assert!(error.fact.starts_with("⟦where⟧: more than 100 parentheses"), "{}", error.fact);
        let series = vec!["x = 1"; 20_000].join(" or ");
        assert_selects(&column(Int64Array::from(vec![1, 2])), &series, &[1, 0]);
    }
}
