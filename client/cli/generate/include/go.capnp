# What a schema can say to the generator for Go, which asks for `package` and `import`.
# The same to every program as the one of capnproto.org/go/capnp/v3.
@0xd12a1c51fedd6c88;

annotation package (file) :Text;
annotation import (file) :Text;
annotation doc (struct, field, enum) :Text;
annotation tag (enumerant) :Text;
annotation notag (enumerant) :Void;
annotation customtype (field) :Text;
annotation name (struct, field, union, enum, enumerant, interface, method, param, annotation, const, group) :Text;

$package("gocp");
$import("capnproto.org/go/capnp/v3/std/go");
