CREATE TABLE departments (dept_id INT PRIMARY KEY, dept_name TEXT, building TEXT, budget NUMERIC);
CREATE TABLE lecturers (lecturer_id INT PRIMARY KEY, name TEXT, dept_id INT REFERENCES departments, salary NUMERIC, hired_on DATE);
CREATE TABLE students (student_id INT PRIMARY KEY, first_name TEXT, last_name TEXT, age INT, sex TEXT, home_city TEXT, major_id INT REFERENCES departments, gpa NUMERIC);
CREATE TABLE courses (course_id INT PRIMARY KEY, title TEXT, credits INT, dept_id INT REFERENCES departments, lecturer_id INT REFERENCES lecturers);
CREATE TABLE enrolments (student_id INT REFERENCES students, course_id INT REFERENCES courses, term TEXT, grade INT, PRIMARY KEY (student_id, course_id));
CREATE TABLE has_pet (student_id INT REFERENCES students, pet_id INT, PRIMARY KEY (student_id, pet_id));
CREATE TABLE pets (pet_id INT PRIMARY KEY, pet_type TEXT, pet_age INT, weight NUMERIC);
ALTER TABLE has_pet ADD FOREIGN KEY (pet_id) REFERENCES pets;
