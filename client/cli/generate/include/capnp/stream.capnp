# What `-> stream` stands for: the result that Cap'n Proto's compiler looks for when a schema uses it.
# The same to every program as the one that Cap'n Proto brings, which therefore need not be installed.
@0x86c366a91393f3f8;

$import "/capnp/c++.capnp".namespace("capnp");

struct StreamResult @0x995f9a3377c0b16e {}
