// SPDX-License-Identifier: Apache-2.0
// The command line: run | check | decide | migrate | query | keep | replay | --version | --help | --man |
// --completion.
#pragma once

namespace tailgate {

// Exit codes. kJudgedBad: the input was judged bad. kCannotOpen: something could not be opened or bound. After a second
// signal it is 128 + signal.
namespace exit_with {
inline constexpr int kDone = 0, kJudgedBad = 1, kWrongUsage = 2, kCannotOpen = 3, kNothingFound = 4;
}

int run_cli(int argc, char** argv);

}  // namespace tailgate
