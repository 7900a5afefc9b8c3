//! What an expression says, once it is parsed.

use super::number::Number;

#[derive(Clone, Debug)]
pub(super) enum Expr {
    Any(Vec<Expr>),
    All(Vec<Expr>),
    Not(Box<Expr>),
    /// A column of booleans.
    Flag(Column),
    Compare(Column, Op, Value),
    In(Column, Vec<Value>),
    IsNull(Column),
}

#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) name: String,
    /// Its first character in the text.
    pub(super) at: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Value {
    pub(super) literal: Literal,
    /// As the user wrote it.
    pub(super) shown: String,
    /// Its first character in the text.
    pub(super) at: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    Number(Number),
    Text(String),
    Boolean(bool),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Equal,
    Different,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

impl Op {
    pub(super) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "=" | "==" => Self::Equal,
            "!=" | "<>" => Self::Different,
            "<" => Self::Less,
            "<=" => Self::LessEqual,
            ">" => Self::Greater,
            ">=" => Self::GreaterEqual,
            _ => return None,
        })
    }

    pub(super) fn sign(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::Different => "!=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
        }
    }

    /// The operator with its sides exchanged.
    pub(super) fn flipped(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessEqual => Self::GreaterEqual,
            Self::Greater => Self::Less,
            Self::GreaterEqual => Self::LessEqual,
            Self::Equal | Self::Different => self,
        }
    }
}
