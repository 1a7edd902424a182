//! The arithmetic that `shipmate calc` understands: numbers, `+ - * /`, parentheses, unary minus, and
//! calls such as `f(x, 2)`.

use std::iter::Peekable;
use std::str::CharIndices;

use anyhow::{Result, bail, ensure};

/// A parsed expression.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    Number(f64),
    /// A parameter of the function whose body this is.
    Parameter(u32),
    Operation(Operation, Box<(Node, Node)>),
    Call(String, Vec<Node>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
}

/// `name(parameter, …) = body`
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Definition {
    pub(crate) name: String,
    pub(crate) parameters: u32,
    pub(crate) body: Node,
}

/// Cap'n Proto readers stop at 64 levels of pointers, and an expression takes two for each of its own.
const DEPTH_MAX: usize = 28;

/// Parses an expression that has no parameters.
pub(crate) fn parse(text: &str) -> Result<Node> {
    Parser::new(text, &[]).whole()
}

impl Definition {
    /// Parses a definition, such as `f(x, y) = x * y + 1`.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let form = "write a definition as NAME(PARAMETER, …) = EXPRESSION, as in f(x, y) = x * y + 1";
        let Some((head, body)) = text.split_once('=') else { bail!("{text:?} has no '=': {form}") };
        let head = head.trim();
        let Some((name, rest)) = head.split_once('(') else { bail!("{head:?} has no '(': {form}") };
        let Some(parameters) = rest.strip_suffix(')') else { bail!("{head:?} does not end in ')': {form}") };
        let parameters: Vec<&str> = parameters.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        for name in parameters.iter().copied().chain([name.trim()]) {
            let first = name.chars().next();
            let fine = first.is_some_and(starts_name) && name.chars().all(continues_name);
            ensure!(fine, "{name:?} is not a name: {form}");
        }
        let count = parameters.len() as u32;
        Ok(Definition { name: name.trim().into(), parameters: count, body: Parser::new(body, &parameters).whole()? })
    }
}

struct Parser<'a> {
    text: &'a str,
    rest: Peekable<CharIndices<'a>>,
    parameters: &'a [&'a str],
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, parameters: &'a [&'a str]) -> Self {
        Parser { text, rest: text.char_indices().peekable(), parameters }
    }

    fn whole(mut self) -> Result<Node> {
        let node = self.sum(0)?;
        match self.peek() {
            None => Ok(node),
            Some(_) => self.fail("an operator or the end"),
        }
    }

    fn sum(&mut self, depth: usize) -> Result<Node> {
        let mut left = self.product(depth)?;
        let mut length = depth;
        while let Some(operation) = self.operation(&[('+', Operation::Add), ('-', Operation::Subtract)]) {
            length += 1;
            let right = self.product(depth + 1)?;
            left = self.operate(operation, left, right, length)?;
        }
        Ok(left)
    }

    fn product(&mut self, depth: usize) -> Result<Node> {
        let mut left = self.factor(depth)?;
        let mut length = depth;
        while let Some(operation) = self.operation(&[('*', Operation::Multiply), ('/', Operation::Divide)]) {
            length += 1;
            let right = self.factor(depth + 1)?;
            left = self.operate(operation, left, right, length)?;
        }
        Ok(left)
    }

    fn factor(&mut self, depth: usize) -> Result<Node> {
        self.check_depth(depth)?;
        match self.peek() {
            Some('-') => {
                self.rest.next();
                match self.factor(depth + 1)? {
                    Node::Number(number) => Ok(Node::Number(-number)),
                    node => self.operate(Operation::Multiply, Node::Number(-1.0), node, depth),
                }
            }
            Some('(') => {
                self.rest.next();
                let node = self.sum(depth + 1)?;
                self.expect(')')?;
                Ok(node)
            }
            Some(first) if starts_name(first) => self.name(depth),
            Some(first) if first.is_ascii_digit() || first == '.' => self.number(),
            _ => self.fail("a number, a name or '('"),
        }
    }

    fn name(&mut self, depth: usize) -> Result<Node> {
        let (start, _) = self.rest.peek().copied().unwrap_or_default();
        let name = self.take_while(start, continues_name);
        if self.peek() != Some('(') {
            let Some(index) = self.parameters.iter().position(|parameter| *parameter == name) else {
                bail!("column {}: {name:?} is no parameter here; a function is called as {name}(…)", self.column(start))
            };
            return Ok(Node::Parameter(index as u32));
        }
        self.rest.next();
        let mut arguments = Vec::new();
        if self.peek() != Some(')') {
            arguments.push(self.sum(depth + 1)?);
            while self.peek() == Some(',') {
                self.rest.next();
                arguments.push(self.sum(depth + 1)?);
            }
        }
        self.expect(')')?;
        Ok(Node::Call(name.into(), arguments))
    }

    fn number(&mut self) -> Result<Node> {
        let (start, _) = self.rest.peek().copied().unwrap_or_default();
        let mut last = ' ';
        let digits = self.take_while(start, |c| {
            let exponent_sign = matches!(c, '+' | '-') && matches!(last, 'e' | 'E');
            last = c;
            c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E') || exponent_sign
        });
        match digits.parse() {
            Ok(number) => Ok(Node::Number(number)),
            Err(_) => bail!("column {}: {digits:?} is not a number", self.column(start)),
        }
    }

    /// `length` bounds the depth of a chain such as `1 + 2 + 3`, which nests to the left.
    fn operate(&self, operation: Operation, left: Node, right: Node, length: usize) -> Result<Node> {
        self.check_depth(length)?;
        Ok(Node::Operation(operation, Box::new((left, right))))
    }

    fn check_depth(&self, depth: usize) -> Result<()> {
        ensure!(depth <= DEPTH_MAX, "the expression nests deeper than {DEPTH_MAX} levels: define functions for parts");
        Ok(())
    }

    fn operation(&mut self, known: &[(char, Operation)]) -> Option<Operation> {
        let next = self.peek()?;
        let (_, operation) = known.iter().find(|(sign, _)| *sign == next)?;
        self.rest.next();
        Some(*operation)
    }

    fn expect(&mut self, wanted: char) -> Result<()> {
        if self.peek() == Some(wanted) {
            self.rest.next();
            return Ok(());
        }
        self.fail(&format!("'{wanted}'"))
    }

    /// The next character that is not white space.
    fn peek(&mut self) -> Option<char> {
        while self.rest.next_if(|(_, c)| c.is_whitespace()).is_some() {}
        self.rest.peek().map(|(_, c)| *c)
    }

    fn take_while(&mut self, start: usize, mut belongs: impl FnMut(char) -> bool) -> &'a str {
        while self.rest.next_if(|(_, c)| belongs(*c)).is_some() {}
        let end = self.rest.peek().map_or(self.text.len(), |(at, _)| *at);
        &self.text[start..end]
    }

    fn fail<T>(&mut self, expected: &str) -> Result<T> {
        match self.rest.peek().copied() {
            Some((at, found)) => bail!("column {}: expected {expected}, found {found:?}", self.column(at)),
            None => bail!("column {}: expected {expected}, found the end", self.column(self.text.len())),
        }
    }

    fn column(&self, at: usize) -> usize {
        self.text[..at].chars().count() + 1
    }
}

fn starts_name(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

fn continues_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn evaluate(node: &Node) -> f64 {
        match node {
            Node::Number(number) => *number,
            Node::Operation(operation, sides) => {
                let (left, right) = (evaluate(&sides.0), evaluate(&sides.1));
                match operation {
                    Operation::Add => left + right,
                    Operation::Subtract => left - right,
                    Operation::Multiply => left * right,
                    Operation::Divide => left / right,
                }
            }
            Node::Parameter(_) | Node::Call(..) => unreachable!("not generated"),
        }
    }

    /// With parentheses around everything, so that no precedence is needed.
    fn print(node: &Node) -> String {
        match node {
            Node::Operation(operation, sides) => {
                let sign = match operation {
                    Operation::Add => '+',
                    Operation::Subtract => '-',
                    Operation::Multiply => '*',
                    Operation::Divide => '/',
                };
                format!("({}{sign} {})", print(&sides.0), print(&sides.1))
            }
            Node::Number(number) => format!("{number:?}"),
            Node::Parameter(_) | Node::Call(..) => unreachable!("not generated"),
        }
    }

    fn any_node() -> impl Strategy<Value = Node> {
        let operation = prop_oneof![
            Just(Operation::Add),
            Just(Operation::Subtract),
            Just(Operation::Multiply),
            Just(Operation::Divide)
        ];
        (-1e9..1e9).prop_map(Node::Number).prop_recursive(6, 40, 2, move |inner| {
            (operation.clone(), inner.clone(), inner)
                .prop_map(|(operation, left, right)| Node::Operation(operation, Box::new((left, right))))
        })
    }

    proptest! {
        #[test]
        fn what_is_printed_parses_to_the_same(node in any_node()) {
            prop_assert_eq!(parse(&print(&node)).unwrap(), node);
        }

        #[test]
        fn no_text_is_too_odd(text in "[-+*/() .,0-9a-e_é=]{0,200}") {
            let _ = parse(&text);
            let _ = Definition::parse(&text);
        }
    }

    #[test]
    fn precedence_is_the_usual_one() {
        for (text, value) in
            [("2*(3 + 4)/7", 2.0), ("1 - 2 - 3", -4.0), ("2 + 3 * 4", 14.0), ("-2 * -(3)", 6.0), ("1e3/2.5e-1", 4000.0)]
        {
            assert_eq!(evaluate(&parse(text).unwrap()), value, "{text}");
        }
    }

    #[test]
    fn errors_point_at_the_column() {
        for (text, hint) in [
            ("", "column 1: expected a number, a name or '(', found the end"),
            ("2 + ", "column 5"),
            ("(1 + 2", "column 7: expected ')'"),
            ("2 $ 3", "column 3: expected an operator or the end, found '$'"),
            ("1.2.3", "column 1: \"1.2.3\" is not a number"),
            ("x + 1", "column 1: \"x\" is no parameter"),
            (&"(".repeat(100), "28 levels"),
            (&"1+".repeat(100), "28 levels"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(hint), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_definition_has_a_name_parameters_and_a_body() {
        let f = Definition::parse("f(x, y) = y - pow(x, 2)").unwrap();
        assert_eq!((f.name.as_str(), f.parameters), ("f", 2));
        let pow = Node::Call("pow".into(), vec![Node::Parameter(0), Node::Number(2.0)]);
        assert_eq!(f.body, Node::Operation(Operation::Subtract, Box::new((Node::Parameter(1), pow))));
        for wrong in ["f", "f = 1", "f(x = 1", "2(x) = x", "f(2) = 1", "f(x) = y"] {
            assert!(Definition::parse(wrong).is_err(), "{wrong}");
        }
    }
}
