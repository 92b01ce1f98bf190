"""The Python face: what `import choreai` offers, and what its functions return."""
