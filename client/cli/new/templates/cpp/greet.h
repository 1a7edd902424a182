#pragma once

#include <string>

// Asks the server at the address for a greeting. Throws a shipmate::Error.
std::string greet(const std::string& address, const std::string& name);
