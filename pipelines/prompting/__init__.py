"""Prompts understood and enhanced: rules and words, no model, nothing heavier than the standard library.

``analyse`` reads a prompt, ``enhance`` writes on it, ``timeline_of`` reads its time stamps; the words are data in
``assets/lexicon``.
"""
