// SPDX-License-Identifier: Apache-2.0
// Escapes in double-quoted strings as Go writes them, which OTTL and TraceQL took over: \a \b \f \n \r \t \v \\ \",
// three octal digits, \xhh, \uhhhh, \Uhhhhhhhh. A pure function.
#pragma once

#include <string>
#include <string_view>

namespace tailgate {

// Reads the escape at text[at], which is a backslash, appends what it stands for and moves `at` behind it. Otherwise
// says what is wrong with it, and `at` stays.
std::string read_go_escape(std::string_view text, std::size_t& at, std::string& out);

}  // namespace tailgate
