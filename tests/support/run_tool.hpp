/// Runs the tools, programs in tests/system/support, with which tests in C++ look at real services from outside.
#pragma once

#include <sys/wait.h>

#include <spawn.h>
#include <unistd.h>

#include <ctime>
#include <stdexcept>
#include <string>
#include <vector>

namespace keepstore::test {

/// Runs `tool` with these arguments and nothing but these variables in its environment. \throws std::runtime_error if
/// it fails; it has said why on standard error.
inline void run_tool(std::vector<std::string> tool, const std::vector<std::string>& arguments,
                     std::vector<std::string> variables) {
    tool.insert(tool.end(), arguments.begin(), arguments.end());
    const auto pointers = [](std::vector<std::string>& from) {
        std::vector<char*> found;
        for (std::string& word : from) found.push_back(word.data());
        found.push_back(nullptr);
        return found;
    };
    pid_t child = -1;
    int status = -1;
    if (posix_spawn(&child, tool.front().c_str(), nullptr, nullptr, pointers(tool).data(),
                    pointers(variables).data()) != 0 ||
        waitpid(child, &status, 0) != child || status != 0) {
        throw std::runtime_error("the tool of a test failed: " + arguments.back());
    }
}

/// Returns a name for a bucket or container. The service lives for one run of ctest, in which the time tells processes
/// with the same number apart.
inline std::string unique_tool_name(int number) {
    return "test-" + std::to_string(std::time(nullptr)) + "-" + std::to_string(getpid()) + "-" + std::to_string(number);
}

}  // namespace keepstore::test
