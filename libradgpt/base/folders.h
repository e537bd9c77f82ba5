#pragma once

#include <string>
#include <vector>

namespace radgpt {

// Entries of folders, names rather than bytes. Calls that a signal cuts off go on. All errors are
// Error(kEnvironment) naming the path. What is changed here is durable after sync_folder (files.h)
// of the folder that holds the name, except where a function says that it does that itself.

/// Names of all entries except . and .., sorted.
std::vector<std::string> list_folder(const std::string& path);

/// Whether there is an entry of that name, whatever it is; a broken link is one.
bool entry_exists(const std::string& path);

/// Makes one folder, mode 0700; nothing of that name may be there.
void make_folder(const std::string& path);

/// Makes a folder and those above it where they are missing, mode 0700, each durable on return.
void make_folders(const std::string& path);

/// Gives an entry another name on the same file system.
void rename_entry(const std::string& from, const std::string& to);

/// Lets two entries of one file system change their names, so that each name is there at every
/// moment. False if the file system cannot do that, as many on networks.
bool exchange_entries(const std::string& a, const std::string& b);

/// Removes a file, a link, or a folder with all that is in it. Links are removed, not followed.
/// Nothing there is no error.
void remove_tree(const std::string& path);

}  // namespace radgpt
