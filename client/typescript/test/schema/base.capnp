@0xd3a1f0c8b7e69524;
# Something to extend, in another file.

interface Named {
  name @0 () -> (name :Text);

  rename @1 (name :Text) -> ();
}
