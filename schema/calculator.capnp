@0x85150b117366d14b;
# The sample interface that the Cap'n Proto project ships, so that every implementation's own sample
# client runs against `shipmated --listen ADDRESS=calculator` unchanged.

interface Calculator {
  # A "simple" mathematical calculator, callable via RPC.

  evaluate @0 (expression :Expression) -> (value :Value);
  # Evaluates the expression and returns a capability to the result, so that a further call can build
  # on it before the first has returned.

  struct Expression {
    # A numeric expression.

    union {
      literal @0 :Float64;
      # A literal numeric value.

      previousResult @1 :Value;
      # A value that was (or, for some other server, will be) returned by a previous evaluate().

      parameter @2 :UInt32;
      # A parameter to the function (only valid in function bodies; see defFunction).

      call :group {
        # Call a function on a list of parameters.
        function @3 :Function;
        params @4 :List(Expression);
      }
    }
  }

  interface Value {
    # Wraps a numeric value in an RPC object.
    read @0 () -> (value :Float64);
  }

  defFunction @1 (paramCount :Int32, body :Expression) -> (func :Function);
  # Defines a function that can be called in expressions; `body` may refer to its parameters by
  # index, from 0.

  interface Function {
    # A function of numbers. A client may implement one itself and pass it in an expression: the
    # server then calls it back.
    call @0 (params :List(Float64)) -> (value :Float64);
  }

  getOperator @2 (op :Operator) -> (func :Function);
  # A basic arithmetic operator as a function of two parameters.

  enum Operator {
    add @0;
    subtract @1;
    multiply @2;
    divide @3;
  }
}
