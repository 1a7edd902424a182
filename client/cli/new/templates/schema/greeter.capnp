@0x9d1f3c5b7a2e4f60;
# What the server offers. Change it here, and every language follows.

interface Greeter {
  greet @0 (name :Text) -> (greeting :Text);
}
