//! A formula: CEL as far as it may be written here, compiled once. It can neither loop nor compile anything while it runs, and
//! sees no clock; what it looks at is given by whoever evaluates it (`expression` for the rows of the table, intake for the
//! mapping of a generic sender).

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "what is not looked for in a foreign syntax tree is refused or passed as a whole"
)]

use std::sync::{Arc, LazyLock};

use cel::common::ast::{CallExpr, EntryExpr, Expr, SelectExpr, SourceInfo};
use cel::{Context, Env, IdedExpr, Program};

/// The longest expression, in bytes: evaluation cannot be cut off, so its length is what bounds it.
pub const EXPRESSION_MAX: usize = 512;
/// The longest error text that is kept: it may quote labels.
const ERROR_MAX: usize = 200;

/// The functions that an expression may call: cheap ones, whose cost is bounded by the length of what they look at.
const FUNCTIONS: &[&str] =
    &["size", "contains", "startsWith", "endsWith", "string", "int", "uint", "double", "bool"];
/// Written as operators; the parser spells them as functions.
const OPERATORS: &[&str] = &[
    "_?_:_", "_&&_", "_||_", "!_", "-_", "_-_", "_+_", "_*_", "_/_", "_%_", "_==_", "_!=_", "_>=_", "_<=_",
    "_>_", "_<_", "_[_]", "@in",
];

/// The standard library, built once: it is the same for every table.
static ENVIRONMENT: LazyLock<Arc<Env>> =
    LazyLock::new(|| Arc::new(Env::stdlib().with_optional_support(false)));

/// What a variable holds.
#[derive(Clone, Copy, Debug)]
pub enum Fields {
    /// These, and no others.
    These(&'static [&'static str]),
    /// Whatever there is.
    Any,
}

/// What is wrong with an expression's text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ExpressionFault {
    /// The line, from 1.
    pub line: usize,
    /// The column in it, from 1.
    pub column: usize,
    /// What is wrong there.
    pub message: String,
}

/// Compiles a formula over these variables.
///
/// # Errors
/// When it is longer than [`EXPRESSION_MAX`]; cannot be read; names a variable, field or function that is not there; calls
/// `matches`, which would compile its pattern on every call; or loops by `all`, `exists`, `exists_one`, `map` or `filter`,
/// whose cost nothing bounds.
pub fn compile(text: &str, names: &[(&str, Fields)]) -> Result<Arc<Program>, ExpressionFault> {
    if text.len() > EXPRESSION_MAX {
        let message = format!("the expression has {} bytes; {EXPRESSION_MAX} are allowed", text.len());
        return Err(ExpressionFault { line: 1, column: 1, message });
    }
    let program = ENVIRONMENT.compile(text).map_err(|errors| {
        let first = errors.errors.first();
        let (line, column) = first.map_or((1, 1), |error| error.pos);
        ExpressionFault {
            line: usize::try_from(line).unwrap_or(1).max(1),
            column: usize::try_from(column).unwrap_or(1).max(1),
            message: first.map_or_else(|| "it cannot be read".to_owned(), |error| error.msg.clone()),
        }
    })?;
    Inspection { source: program.source_info(), names }.look(program.expression())?;
    Ok(Arc::new(program))
}

/// An empty scene, for variables to be put into.
pub fn scene<'a>() -> Context<'a, 'a> {
    Context::with_env(ENVIRONMENT.clone())
}

/// An error text, as long as it is kept: it may quote what was looked at.
pub fn short(text: &str) -> String {
    match text.char_indices().nth(ERROR_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn listed(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// The look over a compiled expression for what the sample would not reach, such as the other side of an `||`.
struct Inspection<'s> {
    source: &'s SourceInfo,
    names: &'s [(&'s str, Fields)],
}

impl Inspection<'_> {
    fn look(&self, node: &IdedExpr) -> Result<(), ExpressionFault> {
        match &node.expr {
            Expr::Unspecified | Expr::Literal(_) => Ok(()),
            Expr::Ident(name) if self.names.iter().any(|(known, _)| known == name) => Ok(()),
            Expr::Ident(name) => {
                let known: Vec<&str> = self.names.iter().map(|(known, _)| *known).collect();
                self.refuse(node, format!("{name:?} is unknown; there are {}", listed(&known)))
            }
            Expr::Call(call) => self.look_at_call(node, call),
            Expr::Select(select) => self.look_at_field(node, select),
            Expr::List(list) => list.elements.iter().try_for_each(|element| self.look(element)),
            Expr::Map(map) => map.entries.iter().try_for_each(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => self.look(&entry.key).and_then(|()| self.look(&entry.value)),
                EntryExpr::StructField(field) => self.look(&field.value),
            }),
            Expr::Comprehension(_) => self.refuse(
                node,
                "all, exists, exists_one, map and filter are not available: nothing bounds their cost".into(),
            ),
            Expr::Struct(made) => self.refuse(node, format!("{:?} cannot be made here", made.type_name)),
        }
    }

    fn look_at_call(&self, node: &IdedExpr, call: &CallExpr) -> Result<(), ExpressionFault> {
        let name = call.func_name.as_str();
        if name == "matches" {
            let message =
                "matches is not available: it compiles its pattern on every call; use a matcher, name=~\"…\"";
            return self.refuse(node, message.into());
        }
        if !FUNCTIONS.contains(&name) && !OPERATORS.contains(&name) {
            return self
                .refuse(node, format!("{name:?} is no function here; there are {}", FUNCTIONS.join(", ")));
        }
        call.target.iter().try_for_each(|target| self.look(target))?;
        call.args.iter().try_for_each(|argument| self.look(argument))
    }

    fn look_at_field(&self, node: &IdedExpr, select: &SelectExpr) -> Result<(), ExpressionFault> {
        let fields = match &select.operand.expr {
            Expr::Ident(name) => {
                self.names.iter().find(|(known, _)| known == name).map(|(_, fields)| *fields)
            }
            _ => None,
        };
        if let Some(Fields::These(known)) = fields
            && !known.contains(&select.field.as_str())
        {
            let message = format!("there is no field {:?}; there are {}", select.field, known.join(", "));
            return self.refuse(node, message);
        }
        self.look(&select.operand)
    }

    fn refuse(&self, node: &IdedExpr, message: String) -> Result<(), ExpressionFault> {
        let (line, column) = self.place(node);
        Err(ExpressionFault { line, column, message })
    }

    fn place(&self, node: &IdedExpr) -> (usize, usize) {
        let Some((start, _)) = self.source.offset_for(node.id) else { return (1, 1) };
        let before: String = self.source.source.chars().take(start as usize).collect();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |rest| rest.chars().count()) + 1;
        (line, column)
    }
}
