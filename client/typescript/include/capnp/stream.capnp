# What `-> stream` stands for: the result that Cap'n Proto's compiler looks for when a schema uses it.
# The same as in Cap'n Proto's own headers, so that these need not be installed.
@0x86c366a91393f3f8;

struct StreamResult @0x995f9a3377c0b16e {}
