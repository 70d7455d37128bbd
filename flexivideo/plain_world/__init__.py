"""The world of the embedded checkpoint: what it is shown, and what it says of any footage.

words        its vocabulary and grammar: captions to words and back
heading      which way things move, by a rule on their motion
measures     light, detail, colour and change, by a rule on pixels
judgement    what is true of a clip, and what a caption of it is worth
scenery      pictures to look at; colours paints them
shots        a camera and things in front of scenery, rendered, with their motion
clips        shots after one another, and what is true of them
chance       draws that several of these make
"""
