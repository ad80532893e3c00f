"""What only the book needs: figures with controls, components that compute on the page, puzzles."""
