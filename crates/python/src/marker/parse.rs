//! The grammar of markers, as a descent over the bytes of a text.

use super::{Condition, Operand, Operator, Variable};

/// What is wrong, and at which byte.
type Refusal = (&'static str, usize);

/// Deeper parentheses are refused: a marker may not exhaust the stack.
const MAX_DEPTH: usize = 50;

/// Reads a whole text as a condition.
pub(super) fn condition(text: &str) -> Result<Condition, Refusal> {
    let mut parser = Parser { text, at: 0, depth: 0 };
    let condition = parser.any()?;
    parser.skip_spaces();
    if parser.at < text.len() { Err(("expected `and`, `or` or the end", parser.at)) } else { Ok(condition) }
}

struct Parser<'text> {
    text: &'text str,
    at: usize,
    depth: usize,
}

impl<'text> Parser<'text> {
    fn any(&mut self) -> Result<Condition, Refusal> {
        let mut conditions = vec![self.all()?];
        while self.keyword("or") {
            conditions.push(self.all()?);
        }
        Ok(Condition::Any(conditions))
    }

    fn all(&mut self) -> Result<Condition, Refusal> {
        let mut conditions = vec![self.one()?];
        while self.keyword("and") {
            conditions.push(self.one()?);
        }
        Ok(Condition::All(conditions))
    }

    fn one(&mut self) -> Result<Condition, Refusal> {
        if !self.symbol("(") {
            return self.comparison();
        }
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(("too many parentheses", self.at));
        }
        let condition = self.any()?;
        if !self.symbol(")") {
            return Err(("expected `)`", self.at));
        }
        self.depth -= 1;
        Ok(condition)
    }

    fn comparison(&mut self) -> Result<Condition, Refusal> {
        let left = self.operand()?;
        self.skip_spaces();
        let start = self.at;
        let operator = self.operator()?;
        let right = self.operand()?;
        if let (Operand::Text(_), Operand::Text(_)) = (&left, &right) {
            return Err(("two texts are compared", start));
        }
        let fits = match (&left, &right) {
            (Operand::Variable(Variable::Extra), other) | (other, Operand::Variable(Variable::Extra)) => {
                matches!(operator, Operator::Equal | Operator::NotEqual) && matches!(other, Operand::Text(_))
            }
            (Operand::Variable(set), _) if set.is_set() => false,
            (left, Operand::Variable(set)) if set.is_set() => {
                matches!(operator, Operator::In | Operator::NotIn) && matches!(left, Operand::Text(_))
            }
            _ => true,
        };
        if fits {
            Ok(Condition::Comparison { left, operator, right })
        } else {
            Err((
                "a set is asked for a name by `'name' in extras`, an extra by `extra == 'name'`; not so",
                start,
            ))
        }
    }

    fn operand(&mut self) -> Result<Operand, Refusal> {
        self.skip_spaces();
        let rest = self.rest();
        if let Some(quote) = rest.chars().next().filter(|c| matches!(c, '"' | '\'')) {
            let end = rest[1..].find(quote).ok_or(("a quote is not closed", self.at))?;
            self.at += end + 2;
            return Ok(Operand::Text(rest[1..=end].to_owned()));
        }
        let end =
            rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.'))).unwrap_or(rest.len());
        let variable =
            variable(&rest[..end]).ok_or(("expected a quoted text or a marker variable", self.at))?;
        self.at += end;
        Ok(Operand::Variable(variable))
    }

    fn operator(&mut self) -> Result<Operator, Refusal> {
        let symbols = [
            // The longer before what they start with.
            ("===", Operator::Arbitrary),
            ("==", Operator::Equal),
            ("~=", Operator::Compatible),
            ("!=", Operator::NotEqual),
            ("<=", Operator::LessEqual),
            (">=", Operator::GreaterEqual),
            ("<", Operator::Less),
            (">", Operator::Greater),
        ];
        if let Some((_, operator)) = symbols.into_iter().find(|(symbol, _)| self.symbol(symbol)) {
            return Ok(operator);
        }
        let at = self.at;
        if self.keyword("in") {
            Ok(Operator::In)
        } else if self.keyword("not") && self.keyword("in") {
            Ok(Operator::NotIn)
        } else {
            Err(("expected a comparison such as `==`, `in` or `not in`", at))
        }
    }

    fn symbol(&mut self, symbol: &str) -> bool {
        self.skip_spaces();
        let there = self.rest().starts_with(symbol);
        if there {
            self.at += symbol.len();
        }
        there
    }

    fn keyword(&mut self, word: &str) -> bool {
        self.skip_spaces();
        let after = self.rest().strip_prefix(word);
        let there =
            after.is_some_and(|after| !after.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_'));
        if there {
            self.at += word.len();
        }
        there
    }

    fn skip_spaces(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
    }

    fn rest(&self) -> &'text str {
        &self.text[self.at..]
    }
}

/// The names with dots are those of setuptools before PEP 508; they still stand in old metadata.
fn variable(name: &str) -> Option<Variable> {
    Some(match name {
        "dependency_groups" => Variable::DependencyGroups,
        "extra" => Variable::Extra,
        "extras" => Variable::Extras,
        "implementation_name" => Variable::ImplementationName,
        "implementation_version" => Variable::ImplementationVersion,
        "os_name" | "os.name" => Variable::OsName,
        "platform_machine" | "platform.machine" => Variable::PlatformMachine,
        "platform_python_implementation" | "platform.python_implementation" | "python_implementation" => {
            Variable::PlatformPythonImplementation
        }
        "platform_release" => Variable::PlatformRelease,
        "platform_system" => Variable::PlatformSystem,
        "platform_version" | "platform.version" => Variable::PlatformVersion,
        "python_full_version" => Variable::PythonFullVersion,
        "python_version" => Variable::PythonVersion,
        "sys_platform" | "sys.platform" => Variable::SysPlatform,
        _ => return None,
    })
}
