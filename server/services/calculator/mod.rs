//! `calculator`: the sample of the Cap'n Proto project. Results and functions are capabilities, a
//! further call can build on one before it is there, and a function may be the client's own.

mod budget;
mod expression;

use std::cell::RefCell;
use std::rc::Rc;

use capnp::capability::get_resolved_cap;
use capnp_rpc::CapabilityServerSet;
use shipmate::schema::calculator_capnp::calculator::{self, function, value};

use self::budget::Budget;
use self::expression::{Callee, Draft, Expression, Function};

/// The bootstrap object; each connection has its own.
#[derive(Default)]
pub(crate) struct Calculator {
    functions: RefCell<Functions>,
    budget: Rc<Budget>,
}

/// The functions of this server that the client holds, to know them again in an expression.
#[derive(Default)]
struct Functions {
    set: CapabilityServerSet<FunctionServer, function::Client>,
    made: usize,
}

struct FunctionServer {
    function: Rc<Function>,
    budget: Rc<Budget>,
}

struct Value(f64);

impl Calculator {
    async fn resolve(&self, draft: Draft) -> Result<Expression, capnp::Error> {
        let mut callees = Vec::with_capacity(draft.functions.len());
        for function in &draft.functions {
            let function = get_resolved_cap(function.clone()).await;
            let own = self.functions.borrow().set.get_local_server_of_resolved(&function);
            callees.push(match own {
                Some(own) => Callee::Own(own.function.clone()),
                None => Callee::Foreign(function),
            });
        }
        draft.resolve(callees)
    }

    fn client_of(&self, function: Function) -> function::Client {
        let server = FunctionServer { function: Rc::new(function), budget: self.budget.clone() };
        self.functions.borrow_mut().add(server)
    }
}

impl calculator::Server for Calculator {
    async fn evaluate(
        self: Rc<Self>,
        params: calculator::EvaluateParams,
        mut results: calculator::EvaluateResults,
    ) -> Result<(), capnp::Error> {
        let draft = Draft::read(params.get()?.get_expression()?, None)?;
        let value = self.resolve(draft).await?.evaluate(&self.budget, &[]).await?;
        results.get().set_value(capnp_rpc::new_client(Value(value)));
        Ok(())
    }

    async fn def_function(
        self: Rc<Self>,
        params: calculator::DefFunctionParams,
        mut results: calculator::DefFunctionResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let param_count = u32::try_from(params.get_param_count()).map_err(|_| {
            capnp::Error::failed(format!("a function cannot take {} parameters", params.get_param_count()))
        })?;
        let draft = Draft::read(params.get_body()?, Some(param_count))?;
        let hold = self.budget.hold(draft.nodes)?;
        let body = self.resolve(draft).await?;
        results.get().set_func(self.client_of(Function::Defined { param_count, body, _hold: hold }));
        Ok(())
    }

    async fn get_operator(
        self: Rc<Self>,
        params: calculator::GetOperatorParams,
        mut results: calculator::GetOperatorResults,
    ) -> Result<(), capnp::Error> {
        let operator = params.get()?.get_op()?;
        results.get().set_func(self.client_of(Function::Operator(operator)));
        Ok(())
    }
}

impl function::Server for FunctionServer {
    async fn call(
        self: Rc<Self>,
        params: function::CallParams,
        mut results: function::CallResults,
    ) -> Result<(), capnp::Error> {
        let value = self.function.call(&self.budget, params.get()?.get_params()?).await?;
        results.get().set_value(value);
        Ok(())
    }
}

impl value::Server for Value {
    async fn read(self: Rc<Self>, _: value::ReadParams, mut results: value::ReadResults) -> Result<(), capnp::Error> {
        results.get().set_value(self.0);
        Ok(())
    }
}

impl Functions {
    fn add(&mut self, function: FunctionServer) -> function::Client {
        // The set holds weak references, which have to be cleared away now and then.
        const MADE_BETWEEN_CLEARINGS: usize = 256;
        self.made += 1;
        if self.made.is_multiple_of(MADE_BETWEEN_CLEARINGS) {
            self.set.gc();
        }
        self.set.new_client(function)
    }
}

#[cfg(test)]
mod tests;
