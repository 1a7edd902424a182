package org.shipmate.samples;

import org.shipmate.Shipmate;
import org.shipmate.ShipmateException;
import org.shipmate.rpc.Connection;
import org.shipmate.schema.CalculatorSchema.Calculator;

/**
 * {@code callback ADDRESS}: gives the calculator a function of this program, 2 to the power of a
 * number, which the server then calls in the middle of an expression: 3 * 2^10 + 1.
 */
public final class CallbackSample {
  private CallbackSample() {}

  public static void main(String[] arguments) {
    if (arguments.length != 1) {
      System.err.println("usage: callback ADDRESS");
      System.exit(2);
    }
    try (Connection connection = Shipmate.connect(arguments[0])) {
      System.out.println(evaluate(connection.bootstrap(Calculator.factory)));
    } catch (ShipmateException e) {
      System.err.println(e.getMessage());
      System.exit(1);
    }
  }

  private static double evaluate(Calculator.Client calculator) {
    Calculator.Function.Client power =
        Calculator.Function.serve(
            call -> {
              double exponent = call.params().getParams().get(0);
              System.out.println("called back with " + exponent);
              call.results().setValue(Math.pow(2, exponent));
            });
    // Operators and the result are promises: all is on its way before the first answer.
    var multiply = calculator.getOperator(Calculator.Operator.MULTIPLY).pipeline().getFunc();
    var add = calculator.getOperator(Calculator.Operator.ADD).pipeline().getFunc();
    var value =
        calculator.evaluate(
            params -> {
              var sum = params.initExpression().initCall();
              sum.setFunction(add);
              var addends = sum.initParams(2);
              addends.get(1).setLiteral(1);
              var product = addends.get(0).initCall();
              product.setFunction(multiply);
              var factors = product.initParams(2);
              factors.get(0).setLiteral(3);
              var call = factors.get(1).initCall();
              call.setFunction(power);
              call.initParams(1).get(0).setLiteral(10);
            });
    return value.pipeline().getValue().read().get().getValue();
  }
}
