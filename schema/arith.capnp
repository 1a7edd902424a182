@0x829de33cc6f08a30;
# Integer arithmetic, the first service of every guide to RPC.
#
# What can go wrong with the numbers is part of the result and not an exception, so that a client in
# any language can tell it apart from a failure of the connection without reading an error text.

interface Arith {
  multiply @0 (a :Int64, b :Int64) -> (product :Product);
  # The product, or `overflow`.

  divide @1 (a :Int64, b :Int64) -> (division :Division);
  # Quotient and remainder, or `divideByZero`, or `overflow` (the least Int64 divided by -1).
  # The quotient is rounded toward zero and the remainder has the sign of `a`.
}

struct Product {
  union {
    value @0 :Int64;
    error @1 :ArithError;
  }
}

struct Division {
  union {
    value :group {
      quotient @0 :Int64;
      remainder @1 :Int64;
    }
    error @2 :ArithError;
  }
}

enum ArithError {
  divideByZero @0;
  overflow @1;
}
