// SPDX-License-Identifier: Apache-2.0
// Compiles Boost.JSON's sources once, from Debian's headers, so that its library need not be linked.
#include <boost/json/src.hpp>
