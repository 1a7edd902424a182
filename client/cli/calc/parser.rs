//! Expressions as text.
//!
//! ```text
//! definition = name "(" [ name { "," name } ] ")" "=" sum
//! sum        = product { ( "+" | "-" ) product }
//! product    = factor { ( "*" | "/" ) factor }
//! factor     = "-" factor | number | "(" sum ")" | name [ "(" [ sum { "," sum } ] ")" ]
//! number     = digits [ "." [ digits ] ] [ exponent ] | "." digits [ exponent ]
//! exponent   = ( "e" | "E" ) [ "+" | "-" ] digits
//! name       = ( letter | "_" ) { letter | digit | "_" }
//! ```

use shipmate::schema::calculator_capnp::calculator::Operator;

/// An expression that was read; the names in it may mean nothing.
#[derive(Clone, Debug)]
pub(crate) struct Expression {
    pub(super) root: Node,
    pub(super) text: String,
}

/// A function that was read.
#[derive(Clone, Debug)]
pub(crate) struct Definition {
    pub(super) name: String,
    /// What the body's [`Node::Parameter`]s are numbered by.
    pub(super) param_count: usize,
    pub(super) body: Expression,
}

#[derive(Clone, Debug)]
pub(super) enum Node {
    Literal(f64),
    /// The parameter of that number, in a definition.
    Parameter(u32),
    Operation(Operator, Box<[Node; 2]>),
    Call {
        name: String,
        params: Vec<Node>,
        /// Where the name stands, in bytes.
        at: usize,
    },
}

/// How deeply parentheses may nest, and how many parts there may be: what keeps every walk through an
/// expression off the end of the stack.
const DEPTH_MAX: usize = 100;
const PARTS_MAX: usize = 1000;

type Parsed<T> = Result<T, Wrong>;

/// What is wrong, and where.
struct Wrong {
    at: usize,
    what: String,
}

struct Parser<'a> {
    text: &'a str,
    /// Where the next token starts; there is no blank there.
    at: usize,
    params: Vec<String>,
    depth: usize,
    parts: usize,
}

impl Expression {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        parse(text, |parser| Ok(Expression { root: parser.sum()?, text: text.to_owned() }))
    }
}

impl Definition {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        parse(text, |parser| {
            let name = parser.name().ok_or_else(|| parser.expected("a definition such as f(x) = x * 2"))?.to_owned();
            parser.want("(")?;
            let params = parser.list(|parser| {
                let at = parser.at;
                let name = parser.name().ok_or_else(|| parser.expected("the name of a parameter"))?.to_owned();
                if parser.params.contains(&name) {
                    return Err(Wrong { at, what: format!("there are two parameters {name}") });
                }
                parser.params.push(name);
                Ok(())
            })?;
            parser.want("=")?;
            let body = Expression { root: parser.sum()?, text: text.to_owned() };
            Ok(Definition { name, param_count: params.len(), body })
        })
    }
}

/// A message that points at a place of the text.
pub(super) fn point_at(text: &str, at: usize, what: &str) -> String {
    let column = text[..at].chars().count() + 1;
    format!("column {column}: {what}\n  {text}\n  {:>column$}", '^')
}

fn parse<T>(text: &str, rule: impl FnOnce(&mut Parser<'_>) -> Parsed<T>) -> Result<T, String> {
    let mut parser = Parser { text, at: 0, params: Vec::new(), depth: 0, parts: 0 };
    parser.skip(0);
    let whole = rule(&mut parser).and_then(|parsed| match parser.rest() {
        "" => Ok(parsed),
        _ => Err(parser.expected("an operator or the end")),
    });
    whole.map_err(|Wrong { at, what }| point_at(text, at, &what))
}

impl<'a> Parser<'a> {
    fn sum(&mut self) -> Parsed<Node> {
        self.operations(&[("+", Operator::Add), ("-", Operator::Subtract)], Self::product)
    }

    fn product(&mut self) -> Parsed<Node> {
        self.operations(&[("*", Operator::Multiply), ("/", Operator::Divide)], Self::factor)
    }

    /// Operations of one precedence, the first one innermost.
    fn operations(&mut self, all: &[(&str, Operator)], operand: fn(&mut Self) -> Parsed<Node>) -> Parsed<Node> {
        let mut left = operand(self)?;
        while let Some(&(_, operator)) = all.iter().find(|(sign, _)| self.take(sign)) {
            self.count()?;
            left = Node::Operation(operator, Box::new([left, operand(self)?]));
        }
        Ok(left)
    }

    fn factor(&mut self) -> Parsed<Node> {
        self.count()?;
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Wrong { at: self.at, what: format!("nested more than {DEPTH_MAX} deep") });
        }
        let at = self.at;
        let factor = if self.take("-") {
            match self.factor()? {
                Node::Literal(value) => Node::Literal(-value),
                // The one way to negate zero.
                other => Node::Operation(Operator::Multiply, Box::new([Node::Literal(-1.0), other])),
            }
        } else if self.take("(") {
            let inner = self.sum()?;
            self.want(")")?;
            inner
        } else if let Some(name) = self.name() {
            self.named(name, at)?
        } else {
            Node::Literal(self.number()?)
        };
        self.depth -= 1;
        Ok(factor)
    }

    fn named(&mut self, name: &str, at: usize) -> Parsed<Node> {
        if self.take("(") {
            return Ok(Node::Call { name: name.to_owned(), params: self.list(Self::sum)?, at });
        }
        match self.params.iter().position(|param| param == name) {
            Some(index) => Ok(Node::Parameter(index as u32)),
            None => {
                Err(Wrong { at, what: format!("nothing here is called {name}; a function is written {name}(…)") })
            }
        }
    }

    /// What stands between commas up to the closing parenthesis, which is taken.
    fn list<T>(&mut self, item: impl Fn(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        let mut items = Vec::new();
        if self.take(")") {
            return Ok(items);
        }
        loop {
            items.push(item(self)?);
            if !self.take(",") {
                self.want(")")?;
                return Ok(items);
            }
        }
    }

    fn number(&mut self) -> Parsed<f64> {
        let text = self.rest();
        let digits = |from: usize| text[from..].bytes().take_while(u8::is_ascii_digit).count();
        let whole = digits(0);
        let mut end = whole;
        if text[end..].starts_with('.') {
            end += 1 + digits(end + 1);
        }
        if end == 0 || &text[..end] == "." {
            return Err(self.expected("a number, a name or ("));
        }
        if text[end..].starts_with(['e', 'E']) {
            let sign = usize::from(text[end + 1..].starts_with(['+', '-']));
            let exponent = digits(end + 1 + sign);
            if exponent == 0 {
                return Err(Wrong { at: self.at + end, what: "an exponent without digits".to_owned() });
            }
            end += 1 + sign + exponent;
        }
        let value: f64 = text[..end].parse().expect("what is left is a number");
        if value.is_infinite() {
            return Err(Wrong { at: self.at, what: "the number is too large".to_owned() });
        }
        self.skip(end);
        Ok(value)
    }

    fn name(&mut self) -> Option<&'a str> {
        let text = self.rest();
        let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
        let name = &text[..end];
        let is_name = name.starts_with(|c: char| c.is_alphabetic() || c == '_');
        is_name.then(|| {
            self.skip(end);
            name
        })
    }

    fn take(&mut self, token: &str) -> bool {
        let is_next = self.rest().starts_with(token);
        if is_next {
            self.skip(token.len());
        }
        is_next
    }

    fn want(&mut self, token: &str) -> Parsed<()> {
        if self.take(token) { Ok(()) } else { Err(self.expected(token)) }
    }

    fn expected(&self, what: &str) -> Wrong {
        let found = match self.rest().chars().next() {
            Some(c) => format!("{c:?}"),
            None => "the end".to_owned(),
        };
        Wrong { at: self.at, what: format!("expected {what}, found {found}") }
    }

    fn count(&mut self) -> Parsed<()> {
        self.parts += 1;
        match self.parts > PARTS_MAX {
            true => Err(Wrong { at: self.at, what: format!("more than {PARTS_MAX} parts") }),
            false => Ok(()),
        }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Goes on by so many bytes, and over what is blank after them.
    fn skip(&mut self, bytes: usize) {
        let rest = &self.rest()[bytes..];
        self.at = self.text.len() - rest.trim_start().len();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(node: &Node, args: &[f64]) -> f64 {
        match node {
            Node::Literal(value) => *value,
            Node::Parameter(index) => args[*index as usize],
            Node::Operation(operator, operands) => {
                let [a, b] = [value(&operands[0], args), value(&operands[1], args)];
                match operator {
                    Operator::Add => a + b,
                    Operator::Subtract => a - b,
                    Operator::Multiply => a * b,
                    Operator::Divide => a / b,
                }
            }
            Node::Call { name, .. } => panic!("{name} has no value here"),
        }
    }

    fn evaluate(text: &str) -> f64 {
        value(&Expression::parse(text).unwrap().root, &[])
    }

    fn same(a: f64, b: f64) -> bool {
        (a.is_nan() && b.is_nan()) || a.to_bits() == b.to_bits()
    }

    /// An expression as text, with its value; its precedence is 0 for a sum, 1 for a product, 2 otherwise.
    type Sample = (String, f64, u8);

    fn any_sample() -> impl Strategy<Value = Sample> {
        let number = prop_oneof![
            (0u32..100).prop_map(|n| n.to_string()),
            (0u32..100, 0u32..1000).prop_map(|(a, b)| format!("{a}.{b}")),
            (0u32..1000).prop_map(|b| format!(".{b}")),
            (1u32..10, -30i32..30).prop_map(|(a, e)| format!("{a}e{e}")),
            (1u32..10, 0i32..30).prop_map(|(a, e)| format!("{a}.E+{e}")),
        ];
        let leaf = number.prop_map(|text| {
            let value = text.parse().unwrap();
            (text, value, 2)
        });
        leaf.prop_recursive(6, 60, 2, |inner| {
            let operands = (inner.clone(), inner.clone(), " {0,2}", "[-+*/]");
            prop_oneof![
                4 => operands.prop_map(|(a, b, blank, sign)| operation(a, b, &blank, &sign)),
                1 => inner.clone().prop_map(|a| (format!("-{}", in_parentheses(&a, 2)), -a.1, 2)),
                1 => inner.prop_map(|a| (format!("( {} )", a.0), a.1, 2)),
            ]
        })
    }

    /// Writes parentheses only where the grammar needs them.
    fn operation(a: Sample, b: Sample, blank: &str, sign: &str) -> Sample {
        let (value, precedence) = match sign {
            "+" => (a.1 + b.1, 0),
            "-" => (a.1 - b.1, 0),
            "*" => (a.1 * b.1, 1),
            _ => (a.1 / b.1, 1),
        };
        let (left, right) = (in_parentheses(&a, precedence), in_parentheses(&b, precedence + 1));
        (format!("{left}{blank}{sign}{blank}{right}"), value, precedence)
    }

    fn in_parentheses(sample: &Sample, at_least: u8) -> String {
        if sample.2 < at_least { format!("({})", sample.0) } else { sample.0.clone() }
    }

    proptest! {
        #[test]
        fn agrees_with_floating_point(sample in any_sample()) {
            prop_assert!(same(evaluate(&sample.0), sample.1), "{} is not {}", sample.0, sample.1);
        }

        #[test]
        fn no_text_is_too_strange(text in "[-+*/(). ,=0-9ef\u{e9}\u{1f6a2}x]{0,20}") {
            let _ = Expression::parse(&text);
            let _ = Definition::parse(&text);
        }
    }

    #[test]
    fn precedence_and_signs() {
        for (text, expected) in [
            ("2 * (3 + 4) / 7", 2.0),
            ("1-2-3", -4.0),
            ("8/4/2", 1.0),
            ("2+3*4", 14.0),
            ("--2", 2.0),
            ("2--3", 5.0),
            ("-2*-3", 6.0),
            ("-(1-1)", -0.0),
            (" 5. ", 5.0),
            ("1e3-1E-3", 999.999),
        ] {
            assert!(same(evaluate(text), expected), "{text}");
        }
    }

    #[test]
    fn a_definition_numbers_its_parameters() {
        let definition = Definition::parse("f(x, y_2) = x * y_2 + 1").unwrap();
        assert_eq!((definition.name.as_str(), definition.param_count), ("f", 2));
        assert_eq!(value(&definition.body.root, &[3.0, 4.0]), 13.0);
        assert_eq!(Definition::parse("k() = 7").unwrap().param_count, 0);
    }

    #[test]
    fn an_error_points_at_its_column() {
        for (text, hint) in [
            ("", "column 1: expected a number, a name or (, found the end"),
            ("2 * )", "column 5: expected a number, a name or (, found ')'"),
            ("2 3", "column 3: expected an operator or the end, found '3'"),
            ("(1 + 2", "column 7: expected ), found the end"),
            ("1 + é(", "column 7: expected a number"),
            ("é + 1", "column 1: nothing here is called é"),
            ("1 + 2e+", "column 6: an exponent without digits"),
            ("1e999", "column 1: the number is too large"),
            ("f(1,)", "column 5: expected a number"),
            ("1 + .", "column 5: expected a number"),
        ] {
            let error = Expression::parse(text).unwrap_err();
            assert!(error.starts_with(hint), "{text}: {error}");
        }
        assert!(Expression::parse("2 * )").unwrap_err().ends_with("\n  2 * )\n      ^"));
        for (text, hint) in [
            ("f", "column 2: expected (, found the end"),
            ("f(x, x) = x", "column 6: there are two parameters x"),
            ("f(2) = 2", "column 3: expected the name of a parameter"),
            ("f(x) = y", "column 8: nothing here is called y"),
            ("2 + 2", "column 1: expected a definition such as"),
        ] {
            let error = Definition::parse(text).unwrap_err();
            assert!(error.starts_with(hint), "{text}: {error}");
        }
    }

    #[test]
    fn what_would_exhaust_the_stack_is_refused() {
        for text in ["(".repeat(100_000), "-".repeat(100_000)] {
            assert!(Expression::parse(&text).unwrap_err().contains("nested more than 100 deep"));
        }
        assert!(Expression::parse(&"1+".repeat(100_000)).unwrap_err().contains("more than 1000 parts"));
    }
}
