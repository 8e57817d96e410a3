// SPDX-License-Identifier: Apache-2.0
// The command line: run | check | decide | migrate | query | keep | replay | --version | --help | --man |
// --completion.
#pragma once

namespace tailgate {

// Exit codes: 0 done, 1 the input was judged bad, 2 wrong usage, 3 cannot bind or open, 4 nothing found, 128 + signal
// after a second signal.
int run_cli(int argc, char** argv);

}  // namespace tailgate
