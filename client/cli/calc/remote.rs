//! Expressions at the calculator: what was parsed becomes capabilities and calls, none of which waits for
//! another. Operators and defined functions are used before the server has returned them, and so is the
//! value.

use std::cell::RefCell;
use std::rc::Rc;

use shipmate::schema::calculator_capnp::calculator::{self, Operator, expression, function, value};

use super::parser::{Definition, Expression, Node, point_at};
use crate::context::Context;

/// A function that this program brings, and the server calls back.
pub(super) struct ClientFunction {
    name: &'static str,
    param_count: usize,
    apply: fn(&[f64]) -> f64,
}

pub(super) static CLIENT_FUNCTIONS: [ClientFunction; 5] = [
    ClientFunction { name: "abs", param_count: 1, apply: |args| args[0].abs() },
    ClientFunction { name: "max", param_count: 2, apply: |args| args[0].max(args[1]) },
    ClientFunction { name: "min", param_count: 2, apply: |args| args[0].min(args[1]) },
    ClientFunction { name: "pow", param_count: 2, apply: |args| args[0].powf(args[1]) },
    ClientFunction { name: "sqrt", param_count: 1, apply: |args| args[0].sqrt() },
];

/// Definitions and an expression in which every name means something.
pub(super) struct Program {
    definitions: Vec<Definition>,
    expression: Expression,
}

/// How deeply one message nests calls. Each takes two of the 64 levels that readers commonly allow.
const PART_DEPTH_MAX: usize = 16;

impl Program {
    /// Checks the names and the numbers of parameters.
    pub(super) fn new(definitions: Vec<Definition>, expression: Expression) -> Result<Self, String> {
        let mut known: Vec<(&str, usize)> = CLIENT_FUNCTIONS.iter().map(|f| (f.name, f.param_count)).collect();
        for Definition { name, param_count, body } in &definitions {
            if known.iter().any(|(other, _)| other == name) {
                return Err(point_at(&body.text, 0, &format!("there is a function {name} already")));
            }
            check(&body.root, &body.text, &known)?;
            known.push((name, *param_count));
        }
        check(&expression.root, &expression.text, &known)?;
        Ok(Program { definitions, expression })
    }

    /// The value, in one round trip and those of the functions that the server calls back.
    pub(super) async fn run(&self, context: &Context, calculator: &calculator::Client) -> shipmate::Result<f64> {
        let mut session = Session { calculator, operators: RefCell::default(), functions: Vec::new() };
        for ClientFunction { name, param_count, apply } in &CLIENT_FUNCTIONS {
            let server = Callback { param_count: *param_count, apply: *apply };
            session.functions.push((name, capnp_rpc::new_client(server)));
        }
        for Definition { name, param_count, body } in &self.definitions {
            let function = session.define(*param_count, &body.root);
            session.functions.push((name, function));
        }
        let value = session.evaluate(&self.expression.root).read_request().send();
        Ok(context.wait(value.promise).await?.get()?.get_value())
    }
}

fn check(node: &Node, text: &str, known: &[(&str, usize)]) -> Result<(), String> {
    match node {
        Node::Literal(_) | Node::Parameter(_) => Ok(()),
        Node::Operation(_, operands) => operands.iter().try_for_each(|operand| check(operand, text, known)),
        Node::Call { name, params, at } => {
            let Some((_, count)) = known.iter().find(|(other, _)| other == name) else {
                let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
                return Err(point_at(text, *at, &format!("no function {name}: there are {}", names.join(", "))));
            };
            if *count != params.len() {
                let what = format!("{name} takes {count} parameters and is given {}", params.len());
                return Err(point_at(text, *at, &what));
            }
            params.iter().try_for_each(|param| check(param, text, known))
        }
    }
}

/// The capabilities of one run.
struct Session<'a> {
    calculator: &'a calculator::Client,
    operators: RefCell<Vec<(Operator, function::Client)>>,
    functions: Vec<(&'a str, function::Client)>,
}

/// What surrounds a part of an expression.
#[derive(Clone, Copy)]
enum Scope {
    Expression,
    Body { param_count: usize },
}

impl Session<'_> {
    /// A value that may not be there yet.
    fn evaluate(&self, node: &Node) -> value::Client {
        let mut request = self.calculator.evaluate_request();
        self.fill(request.get().init_expression(), node, Scope::Expression, PART_DEPTH_MAX);
        request.send().pipeline.get_value()
    }

    /// A function that may not be there yet.
    fn define(&self, param_count: usize, body: &Node) -> function::Client {
        let mut request = self.calculator.def_function_request();
        request.get().set_param_count(param_count as i32);
        self.fill(request.get().init_body(), body, Scope::Body { param_count }, PART_DEPTH_MAX);
        request.send().pipeline.get_func()
    }

    /// What would nest too deeply for one message is asked for in another, and used before it is there.
    fn fill(&self, mut to: expression::Builder<'_>, node: &Node, scope: Scope, depth_left: usize) {
        let (function, params) = match node {
            Node::Literal(value) => return to.set_literal(*value),
            Node::Parameter(index) => return to.set_parameter(*index),
            Node::Operation(operator, operands) => (self.operator(*operator), &operands[..]),
            Node::Call { name, params, .. } => (self.function(name), &params[..]),
        };
        let Some(depth_left) = depth_left.checked_sub(1) else {
            return match scope {
                Scope::Expression => to.set_previous_result(self.evaluate(node)),
                Scope::Body { param_count } => {
                    let params: Vec<_> = (0..param_count as u32).map(Node::Parameter).collect();
                    self.fill_call(to, self.define(param_count, node), &params, scope, 0);
                }
            };
        };
        self.fill_call(to.reborrow(), function, params, scope, depth_left);
    }

    fn fill_call(
        &self,
        to: expression::Builder<'_>,
        function: function::Client,
        params: &[Node],
        scope: Scope,
        depth_left: usize,
    ) {
        let mut call = to.init_call();
        call.set_function(function);
        let mut list = call.init_params(params.len() as u32);
        for (index, param) in (0..).zip(params) {
            self.fill(list.reborrow().get(index), param, scope, depth_left);
        }
    }

    /// Each is asked for once.
    fn operator(&self, operator: Operator) -> function::Client {
        let mut operators = self.operators.borrow_mut();
        if let Some((_, known)) = operators.iter().find(|(other, _)| *other == operator) {
            return known.clone();
        }
        let mut request = self.calculator.get_operator_request();
        request.get().set_op(operator);
        let function = request.send().pipeline.get_func();
        operators.push((operator, function.clone()));
        function
    }

    fn function(&self, name: &str) -> function::Client {
        let (_, function) = self.functions.iter().find(|(other, _)| *other == name).expect("the names were checked");
        function.clone()
    }
}

/// The server's side of a function, here at the client.
struct Callback {
    param_count: usize,
    apply: fn(&[f64]) -> f64,
}

impl function::Server for Callback {
    async fn call(
        self: Rc<Self>,
        params: function::CallParams,
        mut results: function::CallResults,
    ) -> Result<(), capnp::Error> {
        let args: Vec<f64> = params.get()?.get_params()?.iter().collect();
        if args.len() != self.param_count {
            let text = format!("the function takes {} parameters and was given {}", self.param_count, args.len());
            return Err(capnp::Error::failed(text));
        }
        results.get().set_value((self.apply)(&args));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(definitions: &[&str], expression: &str) -> Result<Program, String> {
        let definitions = definitions.iter().map(|text| Definition::parse(text).unwrap()).collect();
        Program::new(definitions, Expression::parse(expression).unwrap())
    }

    #[test]
    fn names_and_numbers_of_parameters_are_checked_before_anything_is_sent() {
        assert!(program(&["f(x) = pow(x, 2)", "g(x) = f(f(x))"], "g(1) + f(2)").is_ok());
        for (definitions, expression, hint) in [
            (&[][..], "1 + f(2)", "column 5: no function f: there are abs, max, min, pow, sqrt"),
            (&[], "pow(2)", "column 1: pow takes 2 parameters and is given 1"),
            (&["f(x) = f(x)"], "1", "column 8: no function f"),
            (&["f(x) = g(x)", "g(x) = x"], "1", "column 8: no function g"),
            (&["f() = 1", "f() = 2"], "1", "column 1: there is a function f already"),
            (&["pow(x) = x"], "1", "column 1: there is a function pow already"),
        ] {
            let error = program(definitions, expression).err().unwrap();
            assert!(error.starts_with(hint), "{expression}: {error}");
        }
    }
}
