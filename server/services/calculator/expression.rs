//! Expressions: read once from a message, checked, and evaluated as often as they are called.

use std::rc::Rc;

use capnp::primitive_list;
use futures::FutureExt;
use futures::future::{LocalBoxFuture, try_join_all};
use shipmate::schema::calculator_capnp::calculator::{Operator, expression, function, value};

use super::budget::{Budget, Hold, Steps};

/// Parts of one expression.
const NODES_MAX: usize = 4096;

/// How deeply calls may nest, through expressions and the bodies of the functions that they call: what
/// keeps evaluation, and dropping a function that holds a function that holds a function, off the end
/// of the stack.
const DEPTH_MAX: usize = 100;

/// A checked expression.
pub(super) struct Expression {
    root: Node,
    callees: Vec<Callee>,
    depth: usize,
}

/// A function of this server.
pub(super) enum Function {
    Operator(Operator),
    Defined { param_count: u32, body: Expression, _hold: Hold },
}

/// A function that an expression calls.
pub(super) enum Callee {
    /// One of this server's own, on the same connection.
    Own(Rc<Function>),
    /// The client's, or another server's.
    Foreign(function::Client),
}

/// An expression whose functions may still be promises.
pub(super) struct Draft {
    root: Node,
    pub(super) functions: Vec<function::Client>,
    pub(super) nodes: usize,
}

enum Node {
    Literal(f64),
    PreviousResult(value::Client),
    Parameter(usize),
    Call { callee: usize, params: Vec<Node> },
}

impl Draft {
    /// Reads an expression, in a function body of `param_count` parameters or outside of one.
    pub(super) fn read(expression: expression::Reader<'_>, param_count: Option<u32>) -> Result<Self, capnp::Error> {
        let mut draft = Draft { root: Node::Literal(0.0), functions: Vec::new(), nodes: 0 };
        draft.root = draft.node(expression, param_count, DEPTH_MAX)?;
        Ok(draft)
    }

    /// The expression, given what each of `functions` has turned out to be.
    pub(super) fn resolve(self, callees: Vec<Callee>) -> Result<Expression, capnp::Error> {
        let depth = depth(&self.root, &callees);
        if depth > DEPTH_MAX {
            return Err(too_deep());
        }
        Ok(Expression { root: self.root, callees, depth })
    }

    fn node(
        &mut self,
        expression: expression::Reader<'_>,
        param_count: Option<u32>,
        depth_left: usize,
    ) -> Result<Node, capnp::Error> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(failed(format!("the expression has more than {NODES_MAX} parts: divide it")));
        }
        let depth_left = depth_left.checked_sub(1).ok_or_else(too_deep)?;
        Ok(match expression.which()? {
            expression::Literal(value) => Node::Literal(value),
            expression::PreviousResult(value) => Node::PreviousResult(value?),
            expression::Parameter(index) => match param_count {
                None => return Err(failed(format!("parameter {index} is outside of a function body"))),
                Some(count) if index >= count => {
                    return Err(failed(format!(
                        "parameter {index} does not exist: the function has {count}, numbered from 0"
                    )));
                }
                Some(_) => Node::Parameter(index as usize),
            },
            expression::Call(call) => {
                let callee = self.functions.len();
                self.functions.push(call.get_function()?);
                let params = call.get_params()?.iter().map(|param| self.node(param, param_count, depth_left));
                Node::Call { callee, params: params.collect::<Result<_, _>>()? }
            }
        })
    }
}

impl Expression {
    /// The value, with the values of the parameters where it is a function's body.
    pub(super) async fn evaluate(&self, budget: &Budget, args: &[f64]) -> Result<f64, capnp::Error> {
        self.value(&self.root, &Steps::new(budget), args).await
    }

    fn value<'a>(
        &'a self,
        node: &'a Node,
        steps: &'a Steps<'a>,
        args: &'a [f64],
    ) -> LocalBoxFuture<'a, Result<f64, capnp::Error>> {
        async move {
            let _step = steps.take().await?;
            match node {
                Node::Literal(value) => Ok(*value),
                Node::PreviousResult(value) => Ok(value.read_request().send().promise.await?.get()?.get_value()),
                Node::Parameter(index) => {
                    args.get(*index).copied().ok_or_else(|| failed(format!("parameter {index} was not given")))
                }
                Node::Call { callee, params } => {
                    let callee = &self.callees[*callee];
                    if let Callee::Own(function) = callee {
                        function.check_param_count(params.len())?;
                    }
                    let params = try_join_all(params.iter().map(|param| self.value(param, steps, args))).await?;
                    match callee {
                        Callee::Own(function) => function.apply(steps, &params).await,
                        Callee::Foreign(function) => call_foreign(function, &params).await,
                    }
                }
            }
        }
        .boxed_local()
    }
}

impl Function {
    /// Calls the function as its client does.
    pub(super) async fn call(
        &self,
        budget: &Budget,
        params: primitive_list::Reader<'_, f64>,
    ) -> Result<f64, capnp::Error> {
        self.check_param_count(params.len() as usize)?;
        let params: Vec<f64> = params.iter().collect();
        self.apply(&Steps::new(budget), &params).await
    }

    async fn apply(&self, steps: &Steps<'_>, params: &[f64]) -> Result<f64, capnp::Error> {
        match (self, params) {
            (Function::Defined { body, .. }, _) => body.value(&body.root, steps, params).await,
            (Function::Operator(operator), &[a, b]) => Ok(match operator {
                Operator::Add => a + b,
                Operator::Subtract => a - b,
                Operator::Multiply => a * b,
                Operator::Divide => a / b,
            }),
            (Function::Operator(_), _) => Err(self.wrong_param_count(params.len())),
        }
    }

    fn check_param_count(&self, given: usize) -> Result<(), capnp::Error> {
        if given == self.param_count() { Ok(()) } else { Err(self.wrong_param_count(given)) }
    }

    fn wrong_param_count(&self, given: usize) -> capnp::Error {
        let what = match self {
            Function::Operator(_) => "an operator",
            Function::Defined { .. } => "the function",
        };
        failed(format!("{what} takes {} parameters and was given {given}", self.param_count()))
    }

    fn param_count(&self) -> usize {
        match self {
            Function::Operator(_) => 2,
            Function::Defined { param_count, .. } => *param_count as usize,
        }
    }
}

async fn call_foreign(function: &function::Client, params: &[f64]) -> Result<f64, capnp::Error> {
    let mut request = function.call_request();
    request.get().set_params(params)?;
    Ok(request.send().promise.await?.get()?.get_value())
}

fn depth(node: &Node, callees: &[Callee]) -> usize {
    match node {
        Node::Call { callee, params } => {
            let body = match &callees[*callee] {
                Callee::Own(function) => match &**function {
                    Function::Defined { body, .. } => body.depth,
                    Function::Operator(_) => 0,
                },
                Callee::Foreign(_) => 0,
            };
            1 + params.iter().map(|param| depth(param, callees)).max().unwrap_or(0).max(body)
        }
        _ => 1,
    }
}

fn too_deep() -> capnp::Error {
    failed(format!("calls nest more than {DEPTH_MAX} deep: evaluate a part and go on with its result"))
}

fn failed(text: String) -> capnp::Error {
    capnp::Error::failed(text)
}
