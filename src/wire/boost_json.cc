// Boost.JSON's own sources, compiled once here: Debian's headers are enough, nothing more is linked.
#include <boost/json/src.hpp>
