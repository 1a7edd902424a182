# What a schema can say to Cap'n Proto's generator for C++.
# The same to every program as the one that Cap'n Proto brings, which therefore need not be installed.
@0xbdf87d7bb8304e81;

annotation namespace (file) :Text;
annotation name (field, enumerant, struct, enum, interface, method, param, group, union) :Text;
annotation allowCancellation (interface, method, file) :Void;

$namespace("capnp::annotations");
