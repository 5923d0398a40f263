"""The page for people: have a recording named, tend the catalogue, look at jobs, keys and health.

browser ─► desk: who asks, CSRF, templates ─► home, music, office: one file a part of the page
                                              answers: what a job's record says, in people's words
                                              shelf: the catalogue    adding: files into it, in a thread

Written by the server, whole, on every request; the script only saves reloads. Everything shown (titles, paths, labels)
is somebody else's text: templates escape all of it.
"""
